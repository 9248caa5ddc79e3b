"""Which bytes the stages write on this processor, and on others that qemu emulates.

    python -m benchmarks.same_bytes [--emulate Haswell Skylake-Client EPYC]

All stages run on made-up digits, the training with the recipes `cnn` and `accurate` for an epoch each. Where it
prints the same checksums it writes the same bytes; `docs/reproducibility.md` says where that was seen.
"""

import argparse
import contextlib
import gzip
import hashlib
import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from stages.io import METRICS_FILE, WEIGHTS_FILE
from stages.recipe import fill
from stages.sampler import LossWeightedSampler

ROOT = Path(__file__).parents[1]
RECIPES = ("cnn", "accurate")  # the last of them is evaluated and exported
STEPS = ("download", *RECIPES, "detector", "calibrate", "evaluate", "export", "parity")  # a recipe is trained
FOLDERS = ("data", "models", "reports", "serving")  # that they write to
EMULATOR = "qemu-x86_64"  # Debian's package qemu-user
SMALL: dict[str, dict[str, Any]] = {
    "data": {"validation": 30, "drawn_digits": {"pictures": 1, "seed": 0}},
    "train": {"epochs": 1, "batch_size": 32, "min_steps": 0},  # which would make more of few images
    "detector": {"pictures": 1, "digits": 1, "pages": 5, "repeats": 1, "epochs": 1, "batch_size": 32},
    "calibrate": {"pages": 5, "drawn_digits": {"pictures": 1, "seed": 1}},
    "evaluate": {"pictures": 1},
}


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """Return bytes as a gzipped IDX file, the format of MNIST."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def make_digits(count: int, seed: int) -> tuple[bytes, bytes]:
    """Return the files of noisy pictures of ten shapes, and of their labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count).astype(np.uint8)
    shapes = np.random.default_rng(0).integers(0, 200, (10, 28, 28))
    return idx((shapes[labels] + random.integers(0, 56, (count, 28, 28))).astype(np.uint8)), idx(labels)


def prepare(folder: Path) -> None:
    """Lay out the parameters and a mirror with made-up digits in a folder."""
    files = dict(zip(("train-images-idx3", "train-labels-idx1"), make_digits(200, 1), strict=True))
    files |= dict(zip(("t10k-images-idx3", "t10k-labels-idx1"), make_digits(50, 2), strict=True))
    (folder / "serving/mnist_serving").mkdir(parents=True)
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for name, content in files.items():
        (folder / f"{name}-ubyte.gz").write_bytes(content)
    checksums = {f"{name}-ubyte.gz": hashlib.sha256(content).hexdigest() for name, content in files.items()}
    mirror = {"mirrors": [str(folder)], "sha256": checksums}
    yaml = YAML()
    for recipe in RECIPES:
        params = yaml.load(fill((ROOT / "params.yaml").read_text(encoding="utf-8"), recipe))
        params["download"]["mnist"] = mirror
        for section, values in SMALL.items():
            params[section] |= values
        yaml.dump(params, folder / f"{recipe}.yaml")
    shutil.copy(folder / f"{RECIPES[0]}.yaml", folder / "params.yaml")


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_sampler() -> str:
    """Return the SHA-256 of the weights that a sampler gives 60,000 images.

    Another last digit seldom draws another image: on made-up digits never, in a whole training of MNIST's it did.
    """
    sampler = LossWeightedSampler(60_000, power=0.5)
    sampler.losses.numpy()[:] = np.random.default_rng(0).random(60_000)
    return hashlib.sha256(sampler.weights().numpy().tobytes()).hexdigest()


def run_stages(steps: Sequence[str]) -> dict[str, str]:
    """Run some of `STEPS` in this process and folder; return the checksums of what they write, by file."""
    commands = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    digests = {}
    for step in steps:
        if step in RECIPES:
            shutil.copy(f"{step}.yaml", "params.yaml")
        with contextlib.redirect_stdout(sys.stderr):
            importlib.import_module(commands["train" if step in RECIPES else step]["cmd"].split()[2]).main()
        if step in RECIPES:
            digests[f"models/weights.safetensors of {step}"] = digest(WEIGHTS_FILE)
    digests["the sampler's weights"] = digest_sampler()
    paths = [METRICS_FILE, *(path for folder in FOLDERS for path in sorted(Path(folder).rglob("*.*")))]
    digests |= {str(path): digest(path) for path in paths if path.is_file()}
    return digests


def run(emulator: Sequence[str], steps: Sequence[str] = STEPS) -> dict[str, str]:
    """Run some of `STEPS` in another process, started with these words; return the checksums of what they write.

    Exits with the process's last line if it fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        prepare(Path(temporary))
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path]))}
        environment.pop("MNIST_MIRROR", None)
        command = [*emulator, sys.executable, "-m", "benchmarks.same_bytes", "--here", *steps]
        done = subprocess.run(command, cwd=temporary, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {(done.stderr.splitlines() or ['no reason given'])[-1]}")
    digests: dict[str, str] = json.loads(done.stdout)
    return digests


def main() -> None:
    """Print the checksums here, then for each emulated processor whether they are the same."""
    parser = argparse.ArgumentParser(
        description="Which bytes the stages write on this processor, and on emulated ones."
    )
    parser.add_argument("--emulate", nargs="+", default=[], metavar="CPU", help="as `qemu-x86_64 -cpu help` lists them")
    parser.add_argument("--here", nargs="+", help=argparse.SUPPRESS)  # steps to run in this process and folder
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(run_stages(arguments.here)))
        return
    here = run([])
    for name, checksum in here.items():
        print(f"{checksum}  {name}", flush=True)
    for processor in arguments.emulate:
        there = run([EMULATOR, "-cpu", processor])
        other = [name for name, checksum in here.items() if there[name] != checksum]
        print(f"{processor}: {'other bytes in ' + ', '.join(other) if other else 'the same bytes'}", flush=True)


if __name__ == "__main__":
    main()
