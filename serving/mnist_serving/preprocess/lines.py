"""Ruled lines, frames and straight edges in a mask of ink: found by projection and taken out.

A line runs straight from border to border: the share of ink along each row of the mask, sheared by a few degrees, tells
it from a digit's stroke (projection profiles: Likforman-Sulem, Zahour and Taconet, "Text line segmentation of
historical documents: a survey", 2007). A stroke that crosses a line stays whole: what has ink on both sides is ink.
"""

import numpy as np

from .ndimage import Ints, Mask, maximum_filter, mean_width, minimum_filter

# Chosen on held-out training images and on pictures drawn by code; benchmarks/canonicalize.py measures what they give.
COVERED, END = 0.85, 0.05  # of its length: how much of a line is ink, and how near to each end there is ink
FRAME = 0.4  # of the picture's side: so far apart, two lines are a frame's, and may end before the border
BORDER = 2  # pixels from the border: where any other line ends
RIM, RIM_COVERED = 0.12, 0.3  # of the picture's side: shorter lines count so near to the border, from this length on
THIN = 10  # times a line's width: less than the picture's shorter side
SLOPES, SLOPE_UNIT = range(-8, 9), 96  # pixels down for each 96 along: lines slanting by up to 5 degrees
CROSSED = 3  # pixels beyond a line's middle where a stroke goes on


def straight_lines(ink: Mask, *, near_rim: bool = False) -> Mask:
    """Return the ink on straight lines across the picture; with `near_rim` also on shorter ones along its border."""
    lines = _along_rows(ink, near_rim=near_rim) | _along_rows(ink.T, near_rim=near_rim).T
    thick = lines.any() and THIN * mean_width(ink) > min(ink.shape)
    return np.zeros_like(ink) if thick else lines


def without(ink: Mask, lines: Mask) -> Mask:
    """Return the ink without the lines; strokes that cross them stay whole."""
    rest = (ink & ~lines).astype(np.int64)
    closed = minimum_filter(maximum_filter(rest, CROSSED), CROSSED)
    return (rest > 0) | (lines & (closed > 0))


def _along_rows(ink: Mask, *, near_rim: bool) -> Mask:
    """Return the ink on lines that run along the rows, sloping or not."""
    height, width = ink.shape
    end = int(END * width) + 1
    lines = np.zeros_like(ink)
    if not near_rim and not (ink[:, :end].any() and ink[:, -end:].any()):
        return lines
    y, x = np.nonzero(ink)
    thick = np.pad(ink, ((1, 1), (0, 0)))
    thick_y, thick_x = np.nonzero(thick[:-2] | thick[1:-1] | thick[2:])
    rim = int(RIM * height) + 1
    for slope in SLOPES:
        drop = slope * np.arange(width) // SLOPE_UNIT - SLOPES[0] * width // SLOPE_UNIT + 1
        row, thick_row = y + drop[x], thick_y + drop[thick_x]
        ours = _covered(thick_row, thick_x, height, width)[row]
        if near_rim:
            outer = (thick_y < rim) | (thick_y >= height - rim)
            long = _counted(thick_row[outer], height, width) >= RIM_COVERED * width
            ours |= long[row] & ((y < rim) | (y >= height - rim))
        lines[y[ours], x[ours]] = True
    return lines


def _covered(row: Ints, x: Ints, height: int, width: int) -> Mask:
    """Return which rows of a sheared mask are lines, of the rows and columns of its ink."""
    end = int(END * width) + 1
    covered = _counted(row, height, width) >= COVERED * width
    covered &= (_counted(row[x < end], height, width) > 0) & (_counted(row[x >= width - end], height, width) > 0)
    places = np.flatnonzero(covered)
    if places.size and places[-1] - places[0] < FRAME * height:
        covered &= _counted(row[x < BORDER], height, width) > 0
        covered &= _counted(row[x >= width - BORDER], height, width) > 0
    return covered


def _counted(row: Ints, height: int, width: int) -> Ints:
    """Return how much ink each row of a sheared mask has."""
    return np.bincount(row, minlength=height + 2 * (SLOPES[-1] * width // SLOPE_UNIT + 2))
