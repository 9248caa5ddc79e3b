"""How fast the pipeline trains, against the tutorial's own program, in one run.

    python -m benchmarks.training [--rounds 3] [--recipes tutorial quick accurate]

All take turns, each in a process of its own: the tutorial's program as people run it, the pipeline's
loop with some recipes, the pipeline as a whole with the recipe `tutorial` (`dvc repro --force`, all stages with their
start-up), and the floor, three matrix products a step and nothing else. Medians of the rounds, with their range.
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

from stages.config import read_sections
from stages.datasets.mirrors import fetch_from_first
from stages.recipe import fill

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
    source = read_sections((ROOT / "params.yaml").read_text(encoding="utf-8"))["download"]["mnist"]
    mirrors = [os.environ.get("MNIST_MIRROR", ""), *source["mirrors"]]
    files = fetch_from_first([mirror for mirror in mirrors if mirror], source["sha256"])
    for place in ("mirror", "MNIST/raw", "serving", ".dvc"):
        (folder / place).mkdir(parents=True)
    for name, content in files.items():
        (folder / "mirror" / name).write_bytes(content)
        (folder / "MNIST/raw" / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    for name in ("recipes", "stages", "serving/mnist_serving"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(fill((ROOT / "params.yaml").read_text(encoding="utf-8"), "tutorial"))
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def summarise(values: Sequence[float], unit: str) -> str:
    """Return the median and the range."""
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f}-{max(values):.2f})"


def report(rows: dict[str, list[Run]]) -> str:
    """Return the table, in Markdown, of the runs by the program's name; the first is the rival."""
    lines = [
        "| program | training loop | of the tutorial's | as a whole | peak memory | test accuracy |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rival = next(iter(rows.values()))
    for name, runs in rows.items():
        loop = ratio = ""
        if runs[0].loop:
            loop = summarise([run.loop for run in runs], "s")
            ratio = (
                f"{statistics.median(ours.loop / theirs.loop for ours, theirs in zip(runs, rival, strict=True)):.2f}"
            )
        whole = summarise([run.whole for run in runs], "s")
        memory = f"{max(run.memory for run in runs):.0f} MB"
        accuracy = f"{runs[0].accuracy:.4f}" if runs[0].accuracy else ""
        lines.append(f"| {name} | {loop} | {ratio} | {whole} | {memory} | {accuracy} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast the pipeline trains, against the tutorial's own program.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run; default: %(default)s")
    parser.add_argument("--recipes", nargs="+", default=["tutorial", "quick", "accurate"], help="default: %(default)s")
    arguments = parser.parse_args()
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        commands = {
            "the tutorial's": [*python, "benchmarks.tutorial", str(folder), "5"],
            "`dvc repro`, all stages": [*python, "dvc", "repro", "--force"],
            **{f"the loop of `{name}`": [*python, "benchmarks.loops", name] for name in arguments.recipes},
            "the floor, three products": [*python, "benchmarks.loops", "floor"],
        }
        rows: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in trange(arguments.rounds, desc="rounds", disable=None, leave=False):
            for name, command in commands.items():
                rows[name].append(run(command, folder))
    print(report(rows))
    print(
        f"\nn = {arguments.rounds}, medians and ranges; {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, torchvision {version('torchvision')}"
    )


if __name__ == "__main__":
    main()
