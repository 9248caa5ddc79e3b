"""Cuts between digits that touch, and what lies between them.

Too many are made, along straight lines of any slant that cross little ink, and whoever recognises digits chooses
between them ("over-segmentation"; R. Casey and E. Lecolinet, "A survey of methods and strategies in character
segmentation", 1996, section 3). Nothing is recognised here.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .ndimage import Ints, Mask, box, mean_width

# Chosen on numbers drawn by code; benchmarks/numbers.py measures what they give.
WIDE, WIDEST = 0.95, 1.5  # times as wide as high: figures that may be two digits; that one digit never is
SLANTS, SLANT_UNIT = range(-3, 7), 8  # columns to the left for each 8 rows down: by which a line slants
APART = 0.15  # times the height: from a cut to the next one
CROSSED = 3  # times the pen's width: ink that a cut crosses at most
CUTS_EACH = 3  # cuts for a width that is the height
MOST_TOGETHER = 4  # pieces between cuts that may be one digit
LEAST_WIDTH, LEAST_HEIGHT = 0.1, 0.6  # of the figure's height: a digit's


class Cut(NamedTuple):
    """A line across a figure: its `slant`, and the column it crosses in the middle, see `_sheared`."""

    column: int
    slant: int


def segments(mask: Mask) -> Iterator[tuple[int, int, Mask]]:
    """Yield what may be a digit of a figure: the numbers of the cuts on its left and right, and its mask.

    The first is the whole figure. Cut 0 is the figure's left edge, the last one its right edge.
    """
    part = box(mask)
    height, width = part.shape
    cuts = _cuts(mask[part.scaled(1)]) if width > WIDE * height else []
    if width <= WIDEST * height or not cuts:
        yield 0, len(cuts) + 1, mask
    y, x = np.nonzero(mask)
    passed = np.zeros(y.size, np.int64)  # how many cuts each pixel is to the right of
    for cut in cuts:
        passed += _sheared(y - part.top, x - part.left, cut.slant, height) >= cut.column
    for first in range(len(cuts) + 1):
        for last in range(first + 1, min(first + MOST_TOGETHER, len(cuts) + 1) + 1):
            piece = np.zeros_like(mask)
            piece[y, x] = (passed >= first) & (passed < last)
            tall, wide = box(piece).shape
            if last - first <= len(cuts) and tall > LEAST_HEIGHT * height and LEAST_WIDTH < wide / height < WIDEST:
                yield first, last, piece


def _sheared(y: Ints, x: Ints, slant: int, height: int) -> Ints:
    """Return the columns of pixels when lines of a slant are upright, at least 0."""
    return x + height + (slant * (2 * y - height)) // (2 * SLANT_UNIT)


def _cuts(mask: Mask) -> list[Cut]:
    """Return the lines that cross the least ink of a figure that fills its mask, from left to right."""
    height, width = mask.shape
    crossed = np.stack([_crossed(mask, slant) for slant in SLANTS])
    least = crossed.min(0)
    apart = max(2, round(APART * height))
    cuts: list[Cut] = []
    while len(cuts) < CUTS_EACH * width // height and least.min() <= CROSSED * mean_width(mask):
        column = int(least.argmin())
        cuts.append(Cut(column, SLANTS[int(crossed[:, column].argmin())]))
        least[max(0, column - apart) : column + apart + 1] = mask.size
    return sorted(cuts)


def _crossed(mask: Mask, slant: int) -> Ints:
    """Return how much ink the lines of a slant cross, by column; the mask's size where one cannot be a cut.

    It can where it crosses one stroke at most, and what is on either side of it is as tall as a digit.
    """
    height, width = mask.shape
    y, x = np.nonzero(mask)
    upright = np.zeros((height + 1, width + 2 * height), np.bool_)
    upright[y + 1, _sheared(y, x, slant, height)] = True
    strokes = (upright[1:] & ~upright[:-1]).sum(0)
    tops = np.where(upright.any(0), upright.argmax(0), height + 1)
    bottoms = np.where(upright.any(0), height - upright[::-1].argmax(0), 0)
    left = np.maximum.accumulate(bottoms) - np.minimum.accumulate(tops)
    right = (np.maximum.accumulate(bottoms[::-1]) - np.minimum.accumulate(tops[::-1]))[::-1]
    between = (strokes <= 1) & (np.minimum(left, right) > LEAST_HEIGHT * height)
    return np.where(between, upright.sum(0), mask.size)
