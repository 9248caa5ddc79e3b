"""Pictures as arrays: the few operations that `canonicalize` is made of.

Only elementary arithmetic is used, and every sum is a sum of whole numbers below 2**53, exact in any
order: a port to another language gives the same numbers. Nothing here knows of digits or pages.
"""

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Whole = TypeVar("Whole", int, Ints)
Number = TypeVar("Number", np.uint8, np.int64, np.float64)

SIXTEENTHS = 16  # of a pixel: the unit of distances
REACH = 14  # the furthest distance measured, in pixels


class Box(NamedTuple):
    """A part of a picture; `bottom` and `right` are the first row and column outside."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def scaled(self, factor: int) -> tuple[slice, slice]:
        """Return the slices that cut the part out of a picture `factor` times as large."""
        return slice(self.top * factor, self.bottom * factor), slice(self.left * factor, self.right * factor)


def box(mask: Mask) -> Box:
    """Return the smallest box around the mask's pixels, all zeros where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return Box(0, 0, 0, 0)
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def ceil_div(numerator: int, denominator: int) -> int:
    """Return the quotient, rounded up."""
    return -(-numerator // denominator)


def divided(numerator: Whole, denominator: int) -> Whole:
    """Return the whole number nearest to the quotient, the larger of two equally near."""
    return (2 * numerator + denominator) // (2 * denominator)


def rounded(values: Floats) -> Ints:
    """Return the nearest whole numbers, the larger of two equally near."""
    return np.floor(values + 0.5).astype(np.int64)


def quantile(values: npt.NDArray[Number], share: float) -> Number:
    """Return the value that stands `share` of the way up when all are sorted.

    `numpy.partition` takes thirty times as long where many values are equal, as on a page.
    """
    found: Number = np.sort(values, axis=None)[int(share * values.size)]
    return found


def block_mean(grey: Grey, factor: int) -> Grey:
    """Return the rounded means of `factor` x `factor` blocks; what is left over is dropped."""
    if factor == 1:
        return grey
    height, width = grey.shape[0] // factor, grey.shape[1] // factor
    rows = np.zeros((height, width * factor), np.uint32)
    for shift in range(factor):
        rows += grey[shift : height * factor : factor, : width * factor]
    blocks = np.zeros((height, width), np.int64)
    for shift in range(factor):
        blocks += rows[:, shift::factor]
    return divided(blocks, factor * factor).astype(np.uint8)


def resampled(values: Grey | Ints, shape: tuple[int, int]) -> Ints:
    """Return the picture at another size: area means to shrink, linear between middles to grow.

    Whole numbers are added along each axis instead of multiplying matrices: exact, and no BLAS library starts its
    threads for it.
    """
    down, height = _resized(values.astype(np.int64), shape[0])
    across, width = _resized(down.T, shape[1])
    return divided(across.T, height * width)


def _resized(values: Ints, target: int) -> tuple[Ints, int]:
    """Return `target` weighted sums of rows, and the sum of the weights of each."""
    source = len(values)
    if target <= source:
        edges = np.arange(target + 1) * source
        place, rest = edges // target, edges % target
        sums = np.zeros((source + 1, values.shape[1]), np.int64)
        np.cumsum(values, 0, out=sums[1:])
        integral: Ints = target * sums[place] + rest[:, None] * values[np.minimum(place, source - 1)]
        return np.diff(integral, axis=0), source
    middle = np.clip((2 * np.arange(target) + 1) * source, target, (2 * source - 1) * target) - target
    place, rest = np.divmod(middle, 2 * target)
    after = values[np.minimum(place + 1, source - 1)]
    return (2 * target - rest)[:, None] * values[place] + rest[:, None] * after, 2 * target


def padded(values: Ints, around: int) -> Ints:
    """Return the picture with its border's values repeated around it; `numpy.pad` takes ten times as long."""
    rows, columns = (np.clip(np.arange(-around, length + around), 0, length - 1) for length in values.shape)
    return values.take(rows, 0).take(columns, 1)


def uniform_filter(values: Ints, radius: int) -> Ints:
    """Return the rounded means over squares of `2 * radius + 1` pixels a side."""
    size = 2 * radius + 1
    sums = np.cumsum(padded(values, radius + 1)[:-1, :-1], 0)
    sums = np.cumsum(sums[size:] - sums[:-size], 1)
    return divided(sums[:, size:] - sums[:, :-size], size * size)


def maximum_filter(values: Ints, reach: int) -> Ints:
    """Return the largest value within `reach` pixels along each axis; zero lies beyond the border."""
    return _largest(_largest(values, reach).T, reach).T


def minimum_filter(values: Ints, reach: int) -> Ints:
    """Return the smallest value within `reach` pixels along each axis; what lies beyond the border is not smaller."""
    most = int(values.max())
    return most - maximum_filter(most - values, reach)


def _largest(values: Ints, reach: int) -> Ints:
    """Return the largest value within `reach` rows: of windows of 1, 2, 4, ... rows, then of two that overlap."""
    size, length = 1, 2 * reach + 1
    windows = np.zeros((len(values) + 2 * reach, values.shape[1]), values.dtype)
    windows[reach : len(values) + reach] = values
    while 2 * size <= length:
        windows = np.maximum(windows[:-size], windows[size:])
        size *= 2
    return np.maximum(windows[: len(values)], windows[length - size :][: len(values)])


def distance(mask: Mask) -> Ints:
    """Return each pixel's distance to the nearest one of the mask, in sixteenths of a pixel.

    Exact Euclidean up to `REACH`, first along the columns, then along the rows; what is further counts
    as one more.
    """
    height, width = mask.shape
    most = (REACH + 1) ** 2
    row = np.arange(height)[:, None]
    above = row - np.maximum.accumulate(np.where(mask, row, -most))
    below = np.minimum.accumulate(np.where(mask, row, height + most)[::-1])[::-1] - row
    column = np.full((height, width + 2 * REACH), most, np.int16)
    column[:, REACH : REACH + width] = np.minimum(np.minimum(above, below), REACH + 1) ** 2
    squared = np.full((height, width), most, np.int16)
    for step in range(-REACH, REACH + 1):
        np.minimum(squared, column[:, REACH + step :][:, :width] + step * step, out=squared)
    return rounded(SIXTEENTHS * np.sqrt(np.arange(most + 1)))[squared]


def inner_distance(mask: Mask) -> Ints:
    """Return how far each of the mask's pixels lies from its edge, in sixteenths of a pixel; -8 outside."""
    return distance(~np.pad(mask, 1))[1:-1, 1:-1] - SIXTEENTHS // 2


def mean_width(mask: Mask) -> float:
    """Return the mean width of strokes: in one of width w the mean distance to the edge is w / 4."""
    return 4 * int(inner_distance(mask)[mask].sum()) / (SIXTEENTHS * int(mask.sum()))


def components(mask: Mask) -> tuple[Ints, Ints]:
    """Return the flat indices of the mask's pixels and for each its 8-connected component.

    A component's number is the place of its first pixel: runs of pixels in neighbouring rows that touch take the
    smaller of their numbers, and numbers their number's number, until nothing changes.
    """
    stride = mask.shape[1] + 1  # a column of zeros parts the rows
    flat = np.zeros((mask.shape[0], stride), np.int8)
    flat[:, :-1] = mask
    change = np.diff(flat.ravel(), prepend=0)
    start, stop = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    below, after = np.searchsorted(stop, start + stride), np.searchsorted(start, stop + stride, "right")
    one = np.repeat(np.arange(start.size), after - below)
    other = np.arange(one.size) + np.repeat(after - np.cumsum(after - below), after - below)
    label = np.arange(start.size)
    while (label[one] != label[other]).any():
        low = np.minimum(label[one], label[other])
        np.minimum.at(label, label[one], low)
        np.minimum.at(label, label[other], low)
        while (label[label] != label).any():
            label = label[label]
    length = stop - start
    return np.flatnonzero(mask), np.repeat((np.cumsum(length) - length)[label], length)
