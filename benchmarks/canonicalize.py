"""How well the packaged model reads what `canonicalize` makes of pictures as people send them, and how fast it is.

    python -m benchmarks.canonicalize [--count 2000] [--validation] [--model FILE]

Each MNIST image is made worse in every way that `benchmarks/degrade.py` knows, canonicalised and read; a refused
picture counts as wrong. The peer is the same model on the same images untouched: at most 1.0 points may be lost. Then
scikit-learn's 1,797 digits, 8x8, another source's handwriting. Constants are chosen with `--validation`, on images held
out of the training set and on the first 898 digits; without it, the test images, and all the digits.
"""

import argparse
import os
import platform
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from mnist_serving.preprocess.canonicalize import PictureError, canonicalize
from PIL import Image
from tqdm import tqdm

from benchmarks import at_least_1
from benchmarks.degrade import KINDS, Picture, degrade
from stages.config import read_sections
from stages.data import load_dataset_info, load_split, train_val_split
from stages.io import DATASET_FILE, MODEL_FILE, TEST_FILE, TRAIN_FILE

ROOT = Path(__file__).parents[1]
SEED = 20
POINTS_LOST_AT_MOST = 1.0
DIGITS_AT_LEAST, DIGITS_CHOSEN_ON, DIGITS_SIDE = 95.0, 898, 64
BLANK = np.zeros((28, 28), np.uint8)

Labels = npt.NDArray[np.int64]


class Row(NamedTuple):
    """What became of one kind of picture: per cent read aright, pictures, those refused, median milliseconds."""

    accuracy: float
    pictures: int
    refused: int
    milliseconds: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How well canonicalised pictures are read, by kind, and how fast.")
    parser.add_argument("--count", type=at_least_1, default=2000, help="images of each kind; default: %(default)s")
    parser.add_argument("--validation", action="store_true", help="the images to choose on, not the test images")
    parser.add_argument("--model", type=Path, default=ROOT / MODEL_FILE, help="default: the one in the package")
    options = parser.parse_args()
    digits, answers = load_digits()
    session = onnxruntime.InferenceSession(options.model)
    images, labels = load_images(validation=options.validation)
    images, labels = images[: options.count], labels[: options.count]

    clean = accuracy(session, images, labels)
    print("| picture | accuracy, % | change, points | n | refused | ms each |\n| --- | --- | --- | --- | --- | --- |")
    print(f"| untouched | {clean:.2f} | | {len(images)} | | |")
    for number, kind in enumerate(KINDS):
        pictures = (degrade(image, kind, (SEED, number, place)) for place, image in enumerate(images))
        row = measure(session, tqdm(pictures, kind, len(images), leave=False, disable=None), labels)
        print(line(kind, row, row.accuracy - clean, -POINTS_LOST_AT_MOST), flush=True)
    parts = {"first half": slice(DIGITS_CHOSEN_ON)}
    if not options.validation:
        parts |= {"second half": slice(DIGITS_CHOSEN_ON, None), "all": slice(None)}
    for name, part in parts.items():
        row = measure(session, [enlarged(digit) for digit in digits[part]], answers[part])
        print(line(f"scikit-learn's digits, {name}", row, None, DIGITS_AT_LEAST))
        row = measure(session, digits[part], answers[part])
        print(line(f"the same, 8x8 as they are, {name}", row, None, 0))
    print(
        f"\n{'Validation' if options.validation else 'Test'} images, seed {SEED}; {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, numpy {np.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"scikit-learn {version('scikit-learn')}"
    )


def load_images(*, validation: bool) -> tuple[npt.NDArray[np.uint8], Labels]:
    """Return images uint8 [N,28,28] and labels [N]: the held-out part of the training set, or the test set."""
    split = load_split(ROOT / (TRAIN_FILE if validation else TEST_FILE), load_dataset_info(ROOT / DATASET_FILE))
    if validation:
        data = read_sections((ROOT / "params.yaml").read_text(encoding="utf-8"))["data"]
        _, split = train_val_split(split, validation=data["validation"], seed=data["split_seed"])
    return split.images[:, 0].numpy(), split.labels.numpy()


def load_digits() -> tuple[npt.NDArray[np.uint8], Labels]:
    """Return scikit-learn's digits, uint8 [1797,8,8], white on black, and their labels."""
    from sklearn import datasets

    digits = datasets.load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target.astype(np.int64)


def enlarged(digit: Picture) -> Picture:
    """Return an 8x8 digit eight times larger."""
    return np.asarray(Image.fromarray(digit).resize((DIGITS_SIDE, DIGITS_SIDE), Image.Resampling.BICUBIC))


def measure(session: onnxruntime.InferenceSession, pictures: Iterable[Picture], labels: Labels) -> Row:
    """Canonicalise and read the pictures."""
    seconds, refused, images = [], 0, []
    for picture in pictures:
        start = time.perf_counter()
        try:
            images.append(canonicalize(picture))
        except PictureError:
            images.append(BLANK)
            refused += 1
        seconds.append(time.perf_counter() - start)
    right = accuracy(session, np.stack(images), labels)
    return Row(right, len(images), refused, 1000 * float(np.median(seconds)))


def accuracy(session: onnxruntime.InferenceSession, images: npt.NDArray[np.uint8], labels: Labels) -> float:
    """Return the share read aright, in per cent."""
    logits = session.run(["logits"], {"image": images[:, None]})[0]
    return 100 * float((logits.argmax(1) == labels).mean())


def line(name: str, row: Row, change: float | None, least: float) -> str:
    """Return a row of the table; one that falls short of `least` says so."""
    short = (row.accuracy if change is None else change) < least
    shown = "" if change is None else f"{change:+.2f}"
    return (
        f"| {name} | {row.accuracy:.2f} | {shown} | {row.pictures} | {row.refused} | {row.milliseconds:.1f} |"
        f"{' short of the target' if short else ''}"
    )


if __name__ == "__main__":
    main()
