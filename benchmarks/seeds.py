"""How much of a result is luck: the same recipe from several seeds, as DVC experiments, side by side.

    python -m benchmarks.seeds [--recipe accurate] [--seeds 5] [--jobs 2]

The experiments are kept: `dvc exp show` lists them, `dvc exp apply NAME` restores one. They take the workspace as it is
when they are queued, all files that git knows, with the recipe filled in.
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

from benchmarks import at_least_1
from stages.config import PARAMS_FILE
from stages.io import StageError, atomic_write
from stages.recipe import fill

PAUSE = 2.0  # seconds between two looks at the queue


class Result(NamedTuple):
    """An experiment's result on the test images; `refused` is the share that the model abstains from."""

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
        raise StageError(f"dvc {arguments[0]} failed: {lines[0] if lines else 'no reason given'}")
    return done.stdout


def queue(recipe: str | None, seeds: int) -> list[str]:
    """Queue an experiment for each seed, with the boxes as they are or filled by a recipe; return their names."""
    params = PARAMS_FILE.read_text(encoding="utf-8")
    try:
        if recipe:
            atomic_write(PARAMS_FILE, fill(params, recipe).encode())
        told = dvc("exp", "run", "--queue", "-S", f"train.seed=range(0,{seeds})")
    finally:
        atomic_write(PARAMS_FILE, params.encode())
    return re.findall(r"Queued experiment '([^']+)'", told)


def wait(names: Sequence[str], jobs: int) -> None:
    """Run the queued experiments, `jobs` at a time, until all have finished.

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
                    raise StageError(f"the experiment {name} has failed: `dvc queue logs {name}` says why")
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
    """Run the experiments and print their results."""
    parser = argparse.ArgumentParser(description="The same recipe from several seeds: mean and spread.")
    parser.add_argument("--recipe", help="default: the boxes as params.yaml has them")
    parser.add_argument("--seeds", type=at_least_1, default=5, help="how many; default: %(default)s")
    parser.add_argument("--jobs", type=at_least_1, default=2, help="how many at a time; default: %(default)s")
    arguments = parser.parse_args()
    try:
        names = queue(arguments.recipe, arguments.seeds)
        wait(names, arguments.jobs)
        print(f"recipe {arguments.recipe or 'of params.yaml'}\n\n{report(collect(names))}")
    except StageError as error:
        sys.exit(f"seeds: error: {error}")


if __name__ == "__main__":
    main()
