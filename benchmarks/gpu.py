"""How fast a GPU trains: the time to 98.5 and 99.0 % of the validation images, against the tutorial's own program.

    python -m benchmarks.gpu [--mnist FOLDER] [--device cuda] [--output gpu.md]

Each runs in a process of its own, whose time counts from its start or from its first step. The recipe `quick` runs
twice with one seed, to see whether the bytes are the same. The tutorial's program reaches neither: its time is that of
its five epochs.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from ruamel.yaml import YAML

from benchmarks.training import ROOT, prepare
from stages.io import atomic_write

WANTED = (0.985, 0.99)  # of the validation images
RECIPES = ("quick", "cnn")
TUTORIAL = "the tutorial's own program"


class Run(NamedTuple):
    """Seconds from the start of the program: to each wanted accuracy, the first step and the end of training."""

    reached: dict[float, float]
    starting: float
    whole: float
    accuracy: float
    sha256: str


def run(command: list[str], folder: Path) -> Run:
    """Run a program in a folder and watch what it prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    begin, starting, line = time.perf_counter(), 0.0, ""
    reached: dict[float, float] = {}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or []:
            now = time.perf_counter() - begin
            starting = now if line == "start\n" else starting
            found = re.search(r"val accuracy ([\d.]+)", line)
            for wanted in WANTED:
                if found and float(found[1]) >= wanted:
                    reached.setdefault(wanted, now)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    told = YAML(typ="safe").load(line)
    return Run(reached, starting, starting + told["loop"], told["accuracy"], told.get("sha256", ""))


def describe(name: str, run: Run, rival: Run) -> str:
    """Return a row of the table; the share is of the most accurate that was reached, from the first step."""
    ends = [run.whole if name == TUTORIAL else run.reached.get(wanted) for wanted in WANTED]
    times = [f"{end:.1f} s | {end - run.starting:.1f} s" if end else "not reached |" for end in ends]
    last = max((end for end in ends if end), default=run.whole)
    share = (last - run.starting) / (rival.whole - rival.starting)
    return f"| {name} | {' | '.join(times)} | {share:.2f} | {run.accuracy:.4f} |"


def main() -> None:
    """Measure, and print or write the table in Markdown."""
    parser = argparse.ArgumentParser(description="How fast a GPU trains, against the tutorial's own program on it.")
    parser.add_argument("--mnist", type=Path, help="a folder with the four files; default: the mirrors of params.yaml")
    parser.add_argument("--device", default="cuda", choices=("cuda", "mps", "cpu"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="write the table into this file")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU here")
    if arguments.mnist:
        os.environ["MNIST_MIRROR"] = str(arguments.mnist.resolve())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        use_device(folder / "params.yaml", arguments.device)
        os.environ["MNIST_MIRROR"] = str(folder / "mirror")
        subprocess.run([sys.executable, "-m", "stages.download"], cwd=folder, check=True)
        python = [sys.executable, "-u", "-m"]
        rival = run([*python, "benchmarks.tutorial", str(folder), "5", arguments.device], folder)
        *runs, again = (run([*python, "benchmarks.loops", name], folder) for name in (*RECIPES, RECIPES[0]))
    table = report(arguments.device, rival, dict(zip(RECIPES, runs, strict=True)), again=again)
    print(table)
    if arguments.output:
        atomic_write(arguments.output, table.encode())


def use_device(params: Path, device: str) -> None:
    """Write a device into a file of parameters."""
    yaml = YAML()
    content = yaml.load(params)
    content["train"]["device"] = device
    yaml.dump(content, params)


def report(device: str, rival: Run, runs: dict[str, Run], *, again: Run) -> str:
    """Return the table, with what it was measured on under it."""
    wanted = " | ".join(f"{share:.1%}, start included | from the first step" for share in WANTED)
    lines = [
        f"| program | {wanted} | of the tutorial's | test accuracy |",
        f"| --- |{' --- |' * (2 * len(WANTED) + 2)}",
        describe(TUTORIAL, rival, rival),
        *(describe(f"`{name}`", run, rival) for name, run in runs.items()),
    ]
    same = "the same bytes" if again.sha256 == runs[RECIPES[0]].sha256 else "other bytes"
    card = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return (
        "\n".join(lines)
        + f"\n\n{card}, Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}; n = 1. "
        f"`{RECIPES[0]}` run again with the same seed gave {same}, in {again.whole - again.starting:.1f} s.\n"
    )


if __name__ == "__main__":
    main()
