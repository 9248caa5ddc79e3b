"""How well whole numbers are read, by their length: composed by code, or pictures of your own.

    python -m benchmarks.numbers [--count 200] [--folder DIR]

Half of the numbers are written digit by digit as `stages/drawn` draws them, with one pen; the model has learned from
such digits. The other half are MNIST images in a row, those held out of the training set, of which it has not. Both lie
on plain, ruled or squared paper, or are photographed. Digits are set as people set them, so that some touch. `--folder`
reads pictures instead, with a `labels.csv` as for `benchmarks/handwriting.py`, where `label` is the number; pictures
with any other label are to be refused.

A number is read right if each digit is, and none is unsure; it is refused if an error is reported or a digit is unsure.
"""

import argparse
import csv
import io
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from mnist_serving import Classifier
from mnist_serving.cli import predict_number
from mnist_serving.errors import FileError
from mnist_serving.preprocess.canonicalize import PictureError
from numpy.random import Generator
from PIL import Image
from tqdm import tqdm

from benchmarks import at_least_1
from benchmarks.canonicalize import load_images
from stages.drawn.digits import write
from stages.drawn.pages import UNIT, draw_strokes
from stages.metrics import wilson_interval

LENGTHS = range(1, 6)
GAPS = (-0.05, 0.5)  # between two digits, as shares of their height; most people leave 0.1 to 0.3
ENLARGED = (3, 8)  # times MNIST's size
SEED = 13

Page = npt.NDArray[np.uint8]


class Reading(NamedTuple):
    """A picture: how it was made, which number it shows if any, and which was read, None if it was refused."""

    kind: str
    number: str | None
    read: str | None


def drawn(number: str, random: Generator) -> Page:
    """Return a number in drawn digits, black on white."""
    strokes, edge = [], 0.0
    for digit in number:
        written = write(int(digit), random)
        left = min(float(stroke[:, 0].min()) for stroke in written)
        place = np.array([edge - left, random.normal(0, 0.04 * UNIT)])
        strokes += [stroke + place for stroke in written]
        edge = max(float(stroke[:, 0].max()) for stroke in strokes) + UNIT * _gap(random)
    return draw_strokes(strokes, random)


def in_a_row(number: str, random: Generator) -> Page:
    """Return a number in MNIST's held-out images, black on white."""
    images, labels = _held_out()
    factor = random.uniform(*ENLARGED)
    digits = []
    for digit in number:
        image = images[random.choice(np.flatnonzero(labels == int(digit)))]
        image = np.roll(image[:, image.any(0)], random.integers(-1, 2), 0)
        size = round(image.shape[1] * factor), round(image.shape[0] * factor)
        digits.append(np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)))
    edges = np.cumsum([0, *(digit.shape[1] + round(20 * factor * _gap(random)) for digit in digits)]).tolist()
    margin = round(random.uniform(4, 30) * factor)
    ink = np.zeros((digits[0].shape[0] + 2 * margin, edges[-1] + digits[-1].shape[1] + 2 * margin), np.uint8)
    for pixels, edge in zip(digits, edges, strict=False):
        part = ink[margin : margin + pixels.shape[0], margin + edge : margin + edge + pixels.shape[1]]
        np.maximum(part, pixels, out=part)
    return 255 - ink


def _gap(random: Generator) -> float:
    return float(random.triangular(GAPS[0], 0.2, GAPS[1]))


@cache
def _held_out() -> tuple[Page, npt.NDArray[np.int64]]:
    return load_images(validation=True)


def plain(page: Page, _random: Generator) -> Page:
    """Return the page as it is."""
    return page


def ruled(page: Page, random: Generator) -> Page:
    """Return the page with lines across it."""
    return _lined(page, random, upright=False)


def squared(page: Page, random: Generator) -> Page:
    """Return the page with lines across it and down."""
    return _lined(page, random, upright=True)


def _lined(page: Page, random: Generator, *, upright: bool) -> Page:
    lined = page.copy()
    apart, thick = round(page.shape[0] * random.uniform(0.2, 0.5)), round(random.uniform(1, 1 + page.shape[0] / 100))
    level, first = random.integers(120, 220), random.integers(apart)
    for line in range(first, page.shape[0], apart):
        lined[line : line + thick] = np.minimum(lined[line : line + thick], level)
    for line in range(first, page.shape[1], apart) if upright else ():
        lined[:, line : line + thick] = np.minimum(lined[:, line : line + thick], level)
    return lined


def photographed(page: Page, random: Generator) -> Page:
    """Return the page under light that falls off, with a camera's noise, as JPEG decodes it."""
    paper, ink = random.uniform(150, 240), random.uniform(20, 90)
    light = np.add.outer(*(np.linspace(0, random.uniform(-0.25, 0.25), side) for side in page.shape))
    levels = (ink + (paper - ink) * (page / 255.0)) * (0.8 + light) + random.normal(0, random.uniform(2, 8), page.shape)
    file = io.BytesIO()
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=int(random.integers(60, 95)))
    return np.asarray(Image.open(file))


WAYS: dict[str, Callable[[str, Generator], Page]] = {"drawn": drawn, "MNIST's held-out images": in_a_row}
PAPERS: dict[str, Callable[[Page, Generator], Page]] = {
    "plain": plain,
    "ruled": ruled,
    "squared": squared,
    "photographed": photographed,
}


def composed(count: int) -> Iterable[tuple[str, str, Page]]:
    """Yield how each number was made, the number, and its picture: as many of each length in each way."""
    for way, write_number in WAYS.items():
        for length in LENGTHS:
            for place in range(count):
                random = np.random.default_rng((SEED, length, place))
                number = "".join(str(digit) for digit in random.integers(0, 10, length))
                paper = [*PAPERS][place % len(PAPERS)]
                yield f"{way}, {paper}", number, PAPERS[paper](write_number(number, random), random)


def read_composed(count: int) -> list[Reading]:
    """Read composed numbers."""
    classifier = Classifier()
    readings = []
    total = len(WAYS) * len(LENGTHS) * count
    for kind, number, page in tqdm(composed(count), "numbers", total, disable=None, leave=False):
        try:
            answer = classifier.read_number(page)
        except PictureError:
            readings.append(Reading(kind, number, None))
        else:
            readings.append(Reading(kind, number, None if answer.abstained else answer.text))
    return readings


def read_folder(folder: Path) -> list[Reading]:
    """Read the pictures that a folder's `labels.csv` lists; None is the number of those that show anything else."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["file"], row["label"]) for row in csv.DictReader(file)]
    classifier = Classifier()
    readings = []
    for name, label in tqdm(rows, "pictures", disable=None, leave=False):
        number, kind = (label, "numbers") if label.isdecimal() else (None, "anything else")
        try:
            answer = predict_number(classifier, folder / name)
        except (FileError, ValueError):
            readings.append(Reading(kind, number, None))
        else:
            readings.append(Reading(kind, number, None if answer["abstained"] else answer["number"]))
    return readings


def report(readings: Sequence[Reading]) -> str:
    """Return the table, in Markdown, with 95 % intervals."""
    groups: dict[str, list[Reading]] = defaultdict(list)
    for one in readings:
        way, _, paper = one.kind.partition(", ")
        length = len(one.number or "")
        names = [f"{way}, length {length}", f"{way}, {paper}, length 2 to 5"] if paper else [way]
        for name in names[:1] if length == 1 else names:
            groups[name].append(one)
    lines = ["| pictures | n | right | refused | wrong |", "| --- | --- | --- | --- | --- |"]
    return "\n".join(lines + [_row(name, groups[name]) for name in sorted(groups)])


def _row(name: str, some: Sequence[Reading]) -> str:
    refused = sum(one.read is None for one in some)
    right = sum(one.read == one.number for one in some if one.read is not None)
    shares = " | ".join(_share(count, len(some)) for count in (right, refused, len(some) - right - refused))
    return f"| {name} | {len(some)} | {shares} |"


def _share(count: int, total: int) -> str:
    low, high = wilson_interval(count, total)
    return f"{count / total:.1%} ({low:.1%} to {high:.1%})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How well whole numbers are read.")
    parser.add_argument(
        "--count", type=at_least_1, default=200, help="numbers of each length and way; default: %(default)s"
    )
    parser.add_argument("--folder", type=Path, help="pictures with a labels.csv (file,label) instead of composed ones")
    options = parser.parse_args()
    try:
        readings = read_folder(options.folder) if options.folder else read_composed(options.count)
    except (OSError, KeyError) as error:
        sys.exit(f"numbers: error: {options.folder}/labels.csv needs the columns file and label: {error}")
    print(report(readings))


if __name__ == "__main__":
    main()
