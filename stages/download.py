"""Stage `download`: the data set that box 1 names, as one tensor file per split and a description."""

import json

from stages.config import PARAMS_FILE, Section, load_params, suggest
from stages.data import Data, Dataset, save_split
from stages.datasets.folder import Folder
from stages.datasets.mnist import FashionMnist, Kmnist, Mnist
from stages.datasets.uci_digits import UciDigits
from stages.io import DATASET_FILE, TEST_FILE, TRAIN_FILE, StageError, atomic_write, run


class Download(Section):
    """The available data sets and their sources. A new one is a file in `datasets/` and a line here."""

    mnist: Mnist
    fashion_mnist: FashionMnist = FashionMnist()
    kmnist: Kmnist = Kmnist()
    uci_digits: UciDigits
    folder: Folder


class Params(Section):
    """What the stage uses."""

    download: Download
    data: Data


def check_name(name: str) -> None:
    """Raise a StageError if the data set is unknown."""
    known = Download.model_fields
    if name not in known:
        hint = suggest(name, known)
        raise StageError(f"{PARAMS_FILE}: `data.dataset` is {name!r}; {hint}allowed: {', '.join(known)}")


def main() -> None:
    """Write `data/train.safetensors`, `data/test.safetensors` and `data/dataset.json`."""
    params = load_params(Params)
    check_name(params.data.dataset)
    dataset: Dataset = getattr(params.download, params.data.dataset).load()
    save_split(TRAIN_FILE, dataset.train)
    save_split(TEST_FILE, dataset.test)
    atomic_write(DATASET_FILE, (json.dumps(dataset.info.model_dump(), indent=1) + "\n").encode())
    counts = f"{len(dataset.train.labels):,} training and {len(dataset.test.labels):,} test images"
    print(f"{dataset.info.name}: {counts}, {len(dataset.info.labels)} classes")


if __name__ == "__main__":
    run(main)
