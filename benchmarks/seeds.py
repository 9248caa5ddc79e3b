"""How much of a result is luck: the same recipe from several seeds, as DVC experiments, side by side.

    python -m benchmarks.seeds [--recipe accurate] [--seeds 5] [--jobs 2]

The experiments stay: `dvc exp show` lists them, `dvc exp apply NAME` takes one over. What is to be compared has to be
committed: an experiment starts from the last commit.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from tqdm import tqdm

from stages.config import fill_boxes, read_params
from stages.io import StageError

PAUSE = 2.0  # seconds between two looks at the queue


class Result(NamedTuple):
    """What an experiment came to on the test images; `refused` is the share that the model abstains from."""

    seed: int
    correct: int
    total: int
    refused: float


def dvc(*arguments: str) -> str:
    """Run DVC; return what it printed.

    Raises:
        StageError: it failed.

    """
    done = subprocess.run(["dvc", *arguments], capture_output=True, text=True, check=False)  # noqa: S607 (that on PATH)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        msg = f"dvc {arguments[0]} failed: {lines[0] if lines else 'no reason given'}"
        raise StageError(msg)
    return done.stdout


def queue(recipe: str, seeds: int) -> list[str]:
    """Queue an experiment for each seed; return their names."""
    told = dvc("exp", "run", "--queue", "-S", f"recipe={recipe}", "-S", f"train.seed=range(0,{seeds})")
    return re.findall(r"Queued experiment '([^']+)'", told)


def wait(names: Sequence[str], jobs: int) -> None:
    """Run what is queued, so many at a time, until all of it has ended.

    Raises:
        StageError: one of them failed.

    """
    dvc("queue", "start", "-j", str(jobs))
    waiting = set(names)
    with tqdm(total=len(names), desc="experiments", disable=None, leave=False) as bar:
        while waiting:
            time.sleep(PAUSE)
            states = dict(re.findall(r"^\w+\s+(\S+)\s.*\s(\w+)\s*$", dvc("queue", "status"), flags=re.MULTILINE))
            for name in sorted(waiting):
                if states.get(name) not in {"Queued", "Running", "Success"}:
                    msg = f"the experiment {name} has failed: `dvc queue logs {name}` says why"
                    raise StageError(msg)
                if states[name] == "Success":
                    waiting.remove(name)
                    bar.update()


def collect(names: Sequence[str]) -> list[Result]:
    """Return the results of experiments by name."""
    found: list[Result] = []
    for baseline in json.loads(dvc("exp", "show", "--json")):
        for experiment in baseline["experiments"] or []:
            if experiment["name"] in names:
                data: dict[str, Any] = experiment["revs"][0]["data"]
                metrics = data["metrics"]["metrics.json"]["data"]
                seed = data["params"]["params.yaml"]["data"]["train"]["seed"]
                found.append(Result(seed, metrics["correct"], metrics["total"], metrics["abstained"]))
    return sorted(found)


def report(results: Sequence[Result]) -> str:
    """Return the table, in Markdown, with mean and spread under it."""
    rows = ["| seed | test accuracy | errors | refused |", "| --- | --- | --- | --- |"]
    shares = [result.correct / result.total for result in results]
    for result, share in zip(results, shares, strict=True):
        rows.append(f"| {result.seed} | {share:.2%} | {result.total - result.correct} | {result.refused:.2%} |")
    spread = statistics.stdev(shares) if len(shares) > 1 else 0.0
    told = f"mean {statistics.mean(shares):.3%}, standard deviation {spread:.3%}"
    return "\n".join([*rows, "", f"n = {len(shares)}, {told}, {min(shares):.2%} to {max(shares):.2%}"])


def main() -> None:
    """Run the experiments and print what they came to."""
    parser = argparse.ArgumentParser(description="The same recipe from several seeds: mean and spread.")
    parser.add_argument("--recipe", help="default: the one that params.yaml chooses")
    parser.add_argument("--seeds", type=int, default=5, help="how many; default: %(default)s")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time; default: %(default)s")
    arguments = parser.parse_args()
    try:
        recipe = arguments.recipe or read_params()["recipe"]
        fill_boxes(read_params(), recipe=recipe)  # complains of a recipe that there is not
        names = queue(recipe, arguments.seeds)
        wait(names, arguments.jobs)
        print(f"recipe {recipe}\n\n{report(collect(names))}")
    except StageError as error:
        sys.exit(f"seeds: error: {error}")


if __name__ == "__main__":
    main()
