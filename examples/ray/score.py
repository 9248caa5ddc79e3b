"""Scores the shards of a folder on a Ray cluster, and goes on where it was stopped.

    python score.py SOURCE TARGET

Ray is handed the shards' names, not their pixels: what it would move between processes costs more than the model does.
A worker or node that dies has its shards scored again by another; after the death of this program the same command
scores what is missing. RAY_ADDRESS names a running cluster; without it Ray starts on this machine.
Exit codes: 0 done, 1 something cannot be read or written, 2 wrong usage.
"""

import os
import sys

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

import ray
from shard import begin, score


class Scorer:
    """A worker: Ray starts one a core, which loads the model once."""

    def __init__(self, source: str, target: str) -> None:
        """Take where shards and outputs are."""
        self._source, self._target = source, target

    def __call__(self, row: dict[str, str]) -> dict[str, str | int]:
        """Score a shard; one that cannot be read or written has an error, and the others go on."""
        try:
            return {"rows": score(row["name"], self._source, self._target), "error": ""}
        except (OSError, ValueError) as error:
            return {"rows": 0, "error": f"{row['name']}: {error}"}


def main() -> None:
    """Score what is missing."""
    source, target, names = begin("Score shards on a Ray cluster; run again, it goes on where it was stopped.")
    if not names:
        print("every shard has its output")
        return
    ray.init()
    cores = int(ray.cluster_resources()["CPU"])
    shards = ray.data.from_items([{"name": name} for name in names], override_num_blocks=len(names))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=cores)
    done = shards.map(Scorer, fn_constructor_args=(source, target), compute=pool)
    rows = list(done.iter_rows())
    errors = sorted(f"score.py: error: {row['error']}" for row in rows if row["error"])
    print(f"{len(names) - len(errors)} shards, {sum(row['rows'] for row in rows)} rows", flush=True)
    sys.exit("\n".join(errors) or 0)


if __name__ == "__main__":
    main()
