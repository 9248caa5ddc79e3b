"""How fast the pipeline trains, against the tutorial's own program, in one run.

    python -m benchmarks.training [--rounds 3] [--recipes tutorial quick accurate]

All take turns, each in a process of its own: the tutorial's program as people run it, the pipeline as a whole with two
recipes (`dvc repro --force`, all stages with their start-up), the pipeline's loop with some, and the floor, three
matrix products a step and nothing else. The program and the loops run also while another program keeps one core busy,
and are compared with each other there. Medians of the rounds, with their range.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import trange

from benchmarks import at_least_1
from stages import ARITHMETIC
from stages.config import read_sections
from stages.datasets.mirrors import fetch_from_first
from stages.recipe import fill, recipe_names

ROOT = Path(__file__).parents[1]
WHOLE = ("tutorial", "accurate")  # the recipes that all stages run with
RIVAL = "the tutorial's"
BUSY = ", one core busy"  # in a row's name: what keeps it busy runs beside


class Run(NamedTuple):
    """One process: seconds as a whole, seconds of the training loop where it tells, MB of memory at its peak."""

    whole: float
    loop: float
    memory: float
    accuracy: float


def run(command: Sequence[str], folder: Path) -> Run:
    """Run a program in a folder, without what this benchmark's own process has set for its arithmetic."""
    environment = {name: value for name, value in os.environ.items() if name not in ARITHMETIC}
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
    for place in ("mirror", "MNIST/raw", "serving", ".dvc", "pictures"):
        (folder / place).mkdir(parents=True)
    for name, content in files.items():
        (folder / "mirror" / name).write_bytes(content)
        (folder / "MNIST/raw" / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    for name in ("recipes", "stages", "serving/mnist_serving"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    use_recipe(folder, "tutorial")
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def use_recipe(folder: Path, name: str) -> None:
    """Fill the boxes in a folder."""
    (folder / "params.yaml").write_text(fill((ROOT / "params.yaml").read_text(encoding="utf-8"), name))


@contextmanager
def one_core_busy(*, wanted: bool) -> Iterator[None]:
    """Keep one core busy meanwhile, if wanted."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if busy:
            busy.kill()
            busy.wait()


def summarise(seconds: Sequence[float]) -> str:
    """Return the median and the range."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f}-{max(seconds):.2f})"


def share_of(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the median of the ratios, round by round."""
    return f"{statistics.median(one / other for one, other in zip(ours, theirs, strict=True)):.2f}"


def report(rows: dict[str, list[Run]]) -> str:
    """Return the table, in Markdown, of the runs by the program's name; `RIVAL` ran under the same conditions."""
    lines = [
        "| program | training loop | of the tutorial's | as a whole | of the tutorial's | memory | test accuracy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, runs in rows.items():
        rival = rows[f"{RIVAL}{BUSY if name.endswith(BUSY) else ''}"]
        loops, wholes = ([getattr(run, part) for run in runs] for part in ("loop", "whole"))
        loop, of_loop = (summarise(loops), share_of(loops, [run.loop for run in rival])) if loops[0] else ("", "")
        memory = f"{max(run.memory for run in runs):.0f} MB"
        accuracy = f"{runs[0].accuracy:.4f}" if runs[0].accuracy else ""
        whole, of_whole = summarise(wholes), share_of(wholes, [run.whole for run in rival])
        lines.append(f"| {name} | {loop} | {of_loop} | {whole} | {of_whole} | {memory} | {accuracy} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How fast the pipeline trains, against the tutorial's own program.")
    parser.add_argument("--rounds", type=at_least_1, default=3, help="how often each is run; default: %(default)s")
    parser.add_argument(
        "--recipes",
        nargs="+",
        choices=recipe_names(),
        default=["tutorial", "quick", "accurate"],
        help="default: %(default)s",
    )
    arguments = parser.parse_args()
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        rival = [*python, "benchmarks.tutorial", str(folder), "5"]
        commands = {
            RIVAL: rival,
            **{f"`dvc repro`, `{name}`": [*python, "dvc", "repro", "--force"] for name in WHOLE},
            **{f"the loop of `{name}`": [*python, "benchmarks.loops", name] for name in arguments.recipes},
            f"{RIVAL}{BUSY}": rival,
            **{f"the loop of `{name}`{BUSY}": [*python, "benchmarks.loops", name] for name in arguments.recipes},
            "the floor, three products": [*python, "benchmarks.loops", "floor"],
        }
        rows: dict[str, list[Run]] = {name: [] for name in commands}
        for _ in trange(arguments.rounds, desc="rounds", disable=None, leave=False):
            for name, command in commands.items():
                use_recipe(folder, next((recipe for recipe in WHOLE if f"`{recipe}`" in name), "tutorial"))
                with one_core_busy(wanted=name.endswith(BUSY)):
                    rows[name].append(run(command, folder))
    print(report(rows))
    print(
        f"\nn = {arguments.rounds}, medians and ranges; {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, torchvision {version('torchvision')}"
    )


if __name__ == "__main__":
    main()
