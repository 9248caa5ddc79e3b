"""Processor time that batches take: one process, Ray by the names of shards, Ray by pixels, and `examples/batch`.

    python -m benchmarks.batches [--shards 7 70 210 700] [--pictures 1000]

Shards have 10,000 images, those of MNIST's training set again and again; pictures are PNG files of 280x280. The time is
that of all processes of a program, Ray's own among them, from its start to its end. The environment of Ray is installed
at the first run.
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from mnist_serving import canonicalize
from PIL import Image

from benchmarks import at_least_1
from benchmarks.peer_environments import environment
from stages.data import load_dataset_info, load_split
from stages.io import DATASET_FILE, TRAIN_FILE

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks/peers"
RAY, BATCH = ROOT / "examples/ray", ROOT / "examples/batch"
ROWS = 10_000  # in a shard
MOST_BY_PIXELS = 210  # shards; more take minutes
FOLDERS = 10  # of pictures
ENLARGED = 10  # times
PERIOD = 0.1  # seconds between two looks at the processes; what one uses after the last look is not seen
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def adopt_orphans() -> None:
    """Make this process the parent of processes whose own parent ends, so that their time is counted."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1) != 0:
        sys.exit("needs Linux 3.4 or newer, whose prctl counts the time of orphans")


def spent(*command: str | Path) -> float:
    """Run a program, and wait for whatever it leaves; return the processor seconds of all its processes."""
    path = f"{ROOT / 'serving'}{os.pathsep}{RAY}"
    settings = {"PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": "local"}
    used: dict[psutil.Process, float] = {}
    with tempfile.TemporaryFile() as log:
        program = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
        while True:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):  # it has just ended
                    used[process] = sum(process.cpu_times()[:2])
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if ended == program.pid:
                program.returncode = os.waitstatus_to_exitcode(status)
            elif not ended:
                time.sleep(PERIOD)
        if program.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{log.read().decode()[-3000:]}")
    return sum(used.values())


def write_shards(folder: Path, images: np.ndarray, shards: int) -> Path:
    """Write as many shards; those beyond the data set's are links to the first ones."""
    folder.mkdir()
    np.save(folder.with_suffix(".npy"), images)
    spent(environment("ray"), PEERS / "write_shards.py", folder.with_suffix(".npy"), folder, str(ROWS))
    made = sorted(folder.iterdir())
    for number in range(len(made), shards):
        os.link(made[number % len(made)], folder / f"{number:04}.parquet")
    for file in made[shards:]:
        file.unlink()
    return folder


def write_pictures(folder: Path, images: np.ndarray, count: int) -> Path:
    """Write pictures, black on white, into several folders; leave out what cannot be read."""
    for number in range(FOLDERS):
        (folder / str(number)).mkdir(parents=True)
    written = 0
    for image in images:
        picture = 255 - image[0].repeat(ENLARGED, 0).repeat(ENLARGED, 1)
        with suppress(ValueError):
            canonicalize(picture)
            Image.fromarray(picture).save(folder / f"{written % FOLDERS}" / f"{written}.png")
            written += 1
        if written == count:
            break
    return folder


def row(count: int, programs: Sequence[Sequence[str | Path]], source: Path) -> str:
    """Return a row: how many images, and the processor seconds of each program."""
    cells = []
    for program in programs:
        target = source.parent / "out"
        cells.append(f"{spent(*program, source, target):.1f}")
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return f"| {count:,} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Processor time of batches.")
    parser.add_argument("--shards", type=at_least_1, nargs="+", default=[7, 70, 210, 700], help="default: %(default)s")
    parser.add_argument("--pictures", type=at_least_1, default=1000, help="default: %(default)s")
    arguments = parser.parse_args()
    adopt_orphans()
    images = load_split(ROOT / TRAIN_FILE, load_dataset_info(ROOT / DATASET_FILE)).images.numpy()
    programs = (RAY / "shard.py", RAY / "score.py", PEERS / "ray_pixels.py")
    one, names, pixels = ([environment("ray"), program] for program in programs)
    columns = "`shard.py`, one process | `score.py`, Ray by names"
    with tempfile.TemporaryDirectory() as temporary:
        print(f"| images | {columns} | Ray by pixels |\n| --- | --- | --- | --- |")
        for shards in arguments.shards:
            source = write_shards(Path(temporary, f"shards-{shards}"), images, shards)
            ways = [one, names, pixels] if shards <= MOST_BY_PIXELS else [one, names]
            print(row(shards * ROWS, ways, source), flush=True)
        pictures = write_pictures(Path(temporary, "pictures"), images, arguments.pictures)
        print(f"\n| pictures | `examples/batch` | {columns} |\n| --- | --- | --- | --- |")
        print(row(arguments.pictures, [[sys.executable, BATCH / "label.py"], one, names], pictures))


if __name__ == "__main__":
    main()
