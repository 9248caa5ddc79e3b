"""How well whole numbers are read, by their length: composed by code, or pictures of your own.

    python -m benchmarks.numbers [--count 200] [--folder DIR]

Half of the numbers are written digit by digit as `stages/drawn` draws them, with one pen; the model has learned from
such digits. The other half are MNIST's test images in a row, which it has not. They lie on plain, ruled or squared
paper, or are photographed. Digits are set as people set them, so that some touch. `--folder` reads pictures instead,
with a `labels.csv` as for `benchmarks/handwriting.py`, where `label` is the number; a picture whose label has anything
but digits counts as read right if it is refused.

A number is read right if each digit is, and none is unsure; it is refused if an error is reported or a digit is unsure.
"""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from mnist_serving import Classifier
from mnist_serving.errors import FileError
from mnist_serving.cli import read_file
from mnist_serving.preprocess.canonicalize import PictureError
from numpy.random import Generator
from PIL import Image
from tqdm import tqdm

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
    """A picture of a number: how it was made, what it says, and what was read, None if it was refused."""

    kind: str
    number: str
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
    """Return a number in MNIST's test images, black on white."""
    images, labels = _test_images()
    factor = random.uniform(*ENLARGED)
    digits = []
    for digit in number:
        image = images[random.choice(np.flatnonzero(labels == int(digit)))]
        image = np.roll(image[:, image.any(0)], random.integers(-1, 2), 0)
        side = round(image.shape[1] * factor), round(image.shape[0] * factor)
        digits.append(np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BICUBIC)))
    edges = np.cumsum([0, *(digit.shape[1] + round(20 * factor * _gap(random)) for digit in digits)]).tolist()
    margin = round(random.uniform(4, 30) * factor)
    ink = np.zeros((digits[0].shape[0] + 2 * margin, edges[-1] + digits[-1].shape[1] + 2 * margin), np.uint8)
    for digit, edge in zip(digits, edges, strict=False):
        part = ink[margin : margin + digit.shape[0], margin + edge : margin + edge + digit.shape[1]]
        np.maximum(part, digit, out=part)
    return 255 - ink


def _gap(random: Generator) -> float:
    return float(random.triangular(GAPS[0], 0.2, GAPS[1]))


@cache
def _test_images() -> tuple[Page, npt.NDArray[np.int64]]:
    return load_images(validation=False)


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


WAYS: dict[str, Callable[[str, Generator], Page]] = {"drawn": drawn, "MNIST's test images": in_a_row}
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


def read(classifier: Classifier, page: Page) -> str | None:
    """Return what is read of a page; None if it is refused."""
    try:
        number = classifier.read_number(page)
    except PictureError:
        return None
    return None if number.abstained else number.text


def read_composed(count: int) -> list[Reading]:
    """Read composed numbers."""
    classifier = Classifier()
    total = len(WAYS) * len(LENGTHS) * count
    pages = tqdm(composed(count), "numbers", total, disable=None, leave=False)
    return [Reading(kind, number, read(classifier, page)) for kind, number, page in pages]


def read_folder(folder: Path) -> list[Reading]:
    """Read the pictures that a folder's `labels.csv` lists."""
    ...


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    readings = read_composed(options.count)
    print(report(readings))


def report(readings):
    lines = ["| pictures | n | right | refused | wrong |", "| --- | --- | --- | --- | --- |"]
    kinds = {}
    for one in readings:
        way, _, paper = one.kind.partition(", ")
        for name in (f"{way}, {len(one.number)} digits", f"{way}, {paper}"):
            kinds.setdefault(name, []).append(one)
    for name, some in kinds.items():
        lines.append(_row(name, some))
    return "\n".join(lines)


def _row(name, some):
    counts = (sum(one.read == one.number for one in some), sum(one.read is None for one in some))
    shares = [_share(count, len(some)) for count in (*counts, len(some) - sum(counts))]
    return f"| {name} | {len(some)} | {' | '.join(shares)} |"


def _share(count, total):
    low, high = wilson_interval(count, total)
    return f"{count / total:.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    main()
