"""How fast the pipeline trains, against the tutorial's own program, in one run.

    python -m benchmarks.training [--rounds 3]

All take turns, each in a process of its own: the tutorial's program as people run it, the pipeline's
loop, the pipeline as a whole (`dvc repro --force`, all stages with their start-up), and the floor, three matrix
products a step and nothing else. Medians of the rounds, with their range.
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import trange

from stages.mirrors import fetch_from_first
from stages.params import load_params

ROOT = Path(__file__).parents[1]


class Run(NamedTuple):
    """One process: seconds as a whole, seconds of the training loop where it tells, MB of memory at its peak."""

    whole: float
    loop: float
    memory: float
    accuracy: float


def run(command: Sequence[str], folder: Path) -> Run:
    """Run a program in a folder, without what this benchmark's own process has set for its arithmetic."""
    ours = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY", "MKL_CBWR")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"PYTHONPATH": str(ROOT), "MNIST_MIRROR": str(folder / "mirror")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    start = time.perf_counter()
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.perf_counter() - start
        output.seek(0)
        last_line = output.read().strip().splitlines()[-1]
    if status:
        sys.exit(f"{' '.join(command)} failed: {last_line}")
    told = json.loads(last_line) if last_line.startswith("{") else {}
    return Run(whole, told.get("loop", 0.0), usage.ru_maxrss / 1024, told.get("accuracy", 0.0))


def prepare(folder: Path) -> None:
    """Lay out the pipeline, a mirror and the tutorial's raw files in a folder."""
    params = load_params(ROOT / "params.yaml").download
    mirrors = [os.environ.get("MNIST_MIRROR", ""), *params.mirrors]
    files = fetch_from_first([mirror for mirror in mirrors if mirror], params.sha256)
    for place in ("mirror", "MNIST/raw", "serving", ".dvc"):
        (folder / place).mkdir(parents=True)
    for name, content in files.items():
        (folder / "mirror" / name).write_bytes(content)
        (folder / "MNIST/raw" / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    for name in ("stages", "serving/mnist_serving"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def summarise(values: Sequence[float], unit: str) -> str:
    """Return the median and the range."""
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f}-{max(values):.2f})"


def report(tutorial: list[Run], ours: list[Run], pipeline: list[Run], floor: list[Run], accuracy: float) -> str:
    """Return the table, in Markdown, with the two ratios under it."""
    rows = [
        "| program | training loop | as a whole | peak memory | test accuracy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, runs, correct in (
        ("the tutorial's", tutorial, tutorial[0].accuracy),
        ("the stage `train`", ours, accuracy),
        ("`dvc repro`, all stages", pipeline, accuracy),
        ("the floor, three products", floor, None),
    ):
        loop = summarise([run.loop for run in runs], "s") if runs[0].loop else ""
        memory = f"{max(run.memory for run in runs):.0f} MB"
        shown = f"{correct:.4f}" if correct else ""
        rows.append(f"| {name} | {loop} | {summarise([run.whole for run in runs], 's')} | {memory} | {shown} |")
    loops = statistics.median(a.loop / b.loop for a, b in zip(tutorial, ours, strict=True))
    wholes = statistics.median(a.whole / b.whole for a, b in zip(tutorial, pipeline, strict=True))
    return "\n".join(rows) + (
        f"\n\nThe loop is {loops:.1f} times as fast as the tutorial's; "
        f"the whole pipeline takes {1 / wholes:.2f} of the tutorial's time."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast the pipeline trains, against the tutorial's own program.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run; default: %(default)s")
    rounds = parser.parse_args().rounds
    python = [sys.executable, "-m"]
    epochs = str(load_params(ROOT / "params.yaml").train.epochs)
    tutorial, ours, pipeline, floor = [], [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        for _ in trange(rounds, desc="rounds", disable=None, leave=False):
            tutorial.append(run([*python, "benchmarks.tutorial", str(folder), epochs], folder))
            pipeline.append(run([*python, "dvc", "repro", "--force"], folder))
            ours.append(run([*python, "benchmarks.loops", "ours"], folder))
            floor.append(run([*python, "benchmarks.loops", "floor"], folder))
        accuracy = json.loads((folder / "metrics.json").read_text())["accuracy"]
    print(report(tutorial, ours, pipeline, floor, accuracy))
    print(
        f"\nn = {rounds}, medians and ranges; {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, torchvision {version('torchvision')}"
    )


if __name__ == "__main__":
    main()
