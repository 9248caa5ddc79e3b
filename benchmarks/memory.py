"""How much memory each stage takes at ten times MNIST, or another multiple.

    python -m benchmarks.memory [--times 10]

The data set is MNIST, again and again; each stage runs in a process of its own, with one epoch and few pictures.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks import at_least_1
from benchmarks.same_bytes import SMALL
from benchmarks.training import ROOT, prepare, run, use_recipe
from stages.data import Split, load_dataset_info, load_split, save_split
from stages.io import DATASET_FILE, TEST_FILE, TRAIN_FILE


def repeat(folder: Path, times: int) -> None:
    """Make both splits of a folder longer."""
    info = load_dataset_info(folder / DATASET_FILE)
    for path in (folder / TRAIN_FILE, folder / TEST_FILE):
        images, labels = load_split(path, info)
        save_split(path, Split(images.repeat(times, 1, 1, 1), labels.repeat(times)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How much memory each stage takes at a multiple of MNIST.")
    parser.add_argument("--times", type=at_least_1, default=10, help="default: %(default)s")
    times = parser.parse_args().times
    yaml = YAML()
    commands = yaml.load(ROOT / "dvc.yaml")["stages"]
    print("| stage | peak memory |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        use_recipe(folder, "accurate")
        params = yaml.load(folder / "params.yaml")
        for section in ("detector", "calibrate", "evaluate"):
            params[section] |= SMALL[section]
        params["train"]["epochs"] = params["detector"]["epochs"] = 1
        yaml.dump(params, folder / "params.yaml")
        for name, stage in commands.items():
            done = run([sys.executable, *stage["cmd"].split()[1:]], folder)
            print(f"| `{name}` | {done.memory:.0f} MB |", flush=True)
            if name == "download":
                repeat(folder, times)


if __name__ == "__main__":
    main()
