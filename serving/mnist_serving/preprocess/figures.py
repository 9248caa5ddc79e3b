"""Figures in a mask of ink: which components are one digit, which are another, and which are neither.

Pieces near the heaviest component belong to it (a stroke may be broken, a 5 may have its hat apart), but for an
underline and a full stop. What is as high as the digit and stands apart from it is a figure of its own.
"""

from typing import NamedTuple

import numpy as np

from .ndimage import SIXTEENTHS, Ints, Mask, components, inner_distance, mean_width, rounded

# Chosen on held-out training images and on pictures drawn by code; benchmarks/canonicalize.py measures what they give.
SPECK_SHARE = 0.04  # lighter than this share of the main stroke: a speck
FLAT = 4  # times as wide as high, below the digit: an underline
FIGURE_HEIGHT, FIGURE_MOST = 0.6, 3  # times as high as the digit: another figure is between the two
FIGURE_MASS = 0.2  # of the digit's: another figure has as much
FIGURE_ABOVE, FIGURE_REACH = 0.3, 4  # times the digit's length: how far above or below it, and how far at most
LEAST_WIDTH = 4  # of a stroke, in coarse pixels: thinner ones count as so wide
LEAST_STROKE = 8  # coarse pixels: the extent of what counts as a stroke
BAR, WIDE, SOLID = 5, 2, 0.75  # times as long as wide, as wide as high, share of its box: hardly a digit


class Parts(NamedTuple):
    """The components of a mask [H, W], by label: `top` to `right` are the first and the last row and column."""

    shape: tuple[int, int]
    where: Ints  # flat indices of the mask's pixels
    label: Ints  # of each, by its component's first pixel
    mass: Ints
    top: Ints
    bottom: Ints
    left: Ints
    right: Ints

    @property
    def height(self) -> Ints:
        """Rows of each."""
        return self.bottom - self.top + 1

    @property
    def width(self) -> Ints:
        """Columns of each."""
        return self.right - self.left + 1

    @property
    def inner(self) -> Mask:
        """Whether each stays off the border."""
        height, width = self.shape
        return (self.top > 0) & (self.left > 0) & (self.bottom < height - 1) & (self.right < width - 1)

    def summed(self, values: Ints | Mask) -> Ints:
        """Return for each label the sum of the values of its pixels."""
        return rounded(np.bincount(self.label, values, minlength=self.mass.size).astype(np.float64))

    def masked(self, kept: Mask) -> Mask:
        """Return the mask of the components that are kept."""
        mask = np.zeros(self.shape, np.bool_)
        mask.ravel()[self.where[kept[self.label]]] = True
        return mask


def parts_of(above: Ints, ink: Mask) -> Parts:
    """Return the components of the ink, each with the mass of its heights above the page."""
    where, first = components(ink)
    begins = first == np.arange(first.size)
    label, count = (np.cumsum(begins) - 1)[first], int(begins.sum())
    y, x = np.divmod(where, ink.shape[1])
    top, left = np.full(count, ink.shape[0]), np.full(count, ink.shape[1])
    bottom, right = np.full(count, -1), np.full(count, -1)
    np.minimum.at(top, label, y)
    np.minimum.at(left, label, x)
    np.maximum.at(bottom, label, y)
    np.maximum.at(right, label, x)
    height, width = ink.shape
    parts = Parts((height, width), where, label, top, top, bottom, left, right)
    return parts._replace(mass=parts.summed(above.ravel()[where]))


def as_strokes(parts: Parts, ink: Mask) -> Parts:
    """Return the parts with their masses divided by their widths' third power: strokes outweigh blots and bands."""
    area = np.maximum(1, parts.summed(np.ones_like(parts.where)))
    width = 4 * parts.summed(inner_distance(ink).ravel()[parts.where]) // (SIXTEENTHS * area)
    mass = 1000 * parts.mass // np.maximum(width, LEAST_WIDTH) ** 3
    longer = np.maximum(parts.height, parts.width)
    bar = (BAR * np.minimum(parts.height, parts.width) < longer) | (area > SOLID * parts.height * parts.width)
    mass[bar | (parts.width > WIDE * parts.height)] //= BAR
    mass[longer < LEAST_STROKE] = 0
    return parts._replace(mass=mass)


def stroke_mass(mask: Mask, heights: Ints) -> float:
    """Return the mass that `as_strokes` would give to the whole mask as one stroke."""
    if not mask.any():
        return 0.0
    return 1000 * int(np.abs(heights)[mask].sum()) / max(int(mean_width(mask)), LEAST_WIDTH) ** 3


def main_figure(parts: Parts) -> Mask:
    """Return the heaviest component with the pieces near it, and those near these: a stroke may be dotted."""
    main = int(parts.mass.argmax())
    kept, count = np.arange(parts.mass.size) == main, 0
    while int(kept.sum()) > count:
        count = int(kept.sum())
        kept = kept | _pieces(parts, main, kept)
    return parts.masked(kept)


def main_of_several(parts: Parts) -> tuple[Mask, int]:
    """Return the heaviest component with the pieces near it but other figures, and the count of all figures."""
    main = int(parts.mass.argmax())
    others = _others(parts, main)
    return parts.masked(_pieces(parts, main, np.arange(parts.mass.size) == main) & ~others), 1 + int(others.sum())


def _pieces(parts: Parts, main: int, known: Mask) -> Mask:
    """Return which components belong to the known ones: more than specks, near them, no underline and no full stop."""
    top, left = int(parts.top[known].min()), int(parts.left[known].min())
    bottom, right = int(parts.bottom[known].max()), int(parts.right[known].max())
    longer = max(bottom - top, right - left)
    reach = longer // 3 + 2
    y, x = np.divmod(parts.where, parts.shape[1])
    near = (y >= top - reach) & (y <= bottom + reach) & (x >= left - reach) & (x <= right + reach)
    underline = (parts.top > bottom + longer // 10) & (parts.width >= FLAT * parts.height)
    compact = np.maximum(parts.height, parts.width) <= longer // 4
    stop = (parts.left > right) & (2 * parts.top > top + bottom) & compact
    heavy: Mask = parts.mass >= SPECK_SHARE * parts.mass[main]
    return (parts.summed(near) > 0) & heavy & ~underline & ~stop


def _others(parts: Parts, main: int) -> Mask:
    """Return which components are figures beside the main one, or well above or below it."""
    top, bottom, left, right = (int(side[main]) for side in parts[4:])
    longer, height = max(bottom - top, right - left), bottom - top + 1
    beside = np.maximum(parts.left - right, left - parts.right)
    above = np.maximum(parts.top - bottom, top - parts.bottom)
    others = (beside > 0) | (above > FIGURE_ABOVE * longer)
    others &= np.maximum(beside, above) <= FIGURE_REACH * longer
    others &= (parts.height >= FIGURE_HEIGHT * height) & (parts.height <= FIGURE_MOST * height)
    others &= parts.mass >= FIGURE_MASS * parts.mass[main]
    return others & parts.inner if parts.inner[main] else others
