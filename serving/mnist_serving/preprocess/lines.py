"""Ruled lines, frames and straight edges in a mask of ink: found by projection and taken out.

A line runs straight from border to border, or from one line to another: the share of ink along each row of the mask,
sheared by a few degrees, tells it from a digit's stroke (the projection profile of document analysis: Likforman-Sulem,
Zahour and Taconet, "Text line segmentation of historical documents", 2007). A stroke that crosses a line is made whole
again: what has ink on both sides of the line is ink.
"""

import numpy as np

from .ndimage import Mask, mean_width, maximum_filter, minimum_filter

COVERED = 0.85  # of its length: the share of a line that is ink
END = 0.05  # of its length: a line has ink so near to each end
RIM = 2  # pixels from the border; only a frame's lines may end further inside
RIM_SHARE, RIM_COVERED = 0.12, 0.3
THIN = 9  # times a line's width: less than the picture's shorter side
FRAME = 0.4  # of the picture's side: the least distance of a frame's lines
SLOPES, SLOPE_UNIT = range(-8, 9), 96  # pixels down for each SLOPE_UNIT along: lines slanting by up to 5 degrees
CROSSED = 3  # pixels beyond a line's middle where a stroke goes on


def straight_lines(ink: Mask, *, near_rim: bool = False) -> Mask:
    """Return the ink that belongs to straight lines across the picture, or also to shorter ones along its rim."""
    lines = _rows(ink, near_rim=near_rim) | _rows(ink.T, near_rim=near_rim).T
    if lines.any() and THIN * mean_width(ink) > min(ink.shape):
        return np.zeros_like(ink)
    return lines


def without(ink: Mask, lines: Mask) -> Mask:
    """Return the ink without the lines; strokes that cross them stay whole."""
    rest = (ink & ~lines).astype(np.int64)
    closed = minimum_filter(maximum_filter(rest, CROSSED), CROSSED) > 0
    return (rest > 0) | (lines & closed)


def _rows(ink: Mask, *, near_rim: bool) -> Mask:
    """Return the ink on lines that run along the rows, sloping or not."""
    height, width = ink.shape
    end = int(END * width) + 1
    lines = np.zeros(ink.shape, np.bool_)
    if not near_rim and not (ink[:, :end].any() and ink[:, -end:].any()):
        return lines
    y, x = np.nonzero(ink)
    thick = np.pad(ink, ((1, 1), (0, 0)))
    thick_y, thick_x = np.nonzero(thick[:-2] | thick[1:-1] | thick[2:])
    reach = SLOPES[-1] * width // SLOPE_UNIT + 1
    rim = np.zeros(height, np.bool_)
    rim[: int(RIM_SHARE * height) + 1] = rim[-int(RIM_SHARE * height) - 1:] = True
    for slope in SLOPES:
        shift = slope * np.arange(width) // SLOPE_UNIT + reach
        rows = thick_y + shift[thick_x]
        count = np.bincount(rows, minlength=height + 2 * reach)
        covered = count >= COVERED * width
        for part in (thick_x < end, thick_x >= width - end):
            covered &= np.bincount(rows[part], minlength=height + 2 * reach) > 0
        places = np.flatnonzero(covered)
        if places.size and places[-1] - places[0] < FRAME * height:
            for part in (thick_x < RIM, thick_x >= width - RIM):
                covered &= np.bincount(rows[part], minlength=height + 2 * reach) > 0
        ours = covered[y + shift[x]]
        if near_rim:
            rows = (thick_y + shift[thick_x])[rim[thick_y]]
            ours |= rim[y] & (np.bincount(rows, minlength=height + 2 * reach) >= RIM_COVERED * width)[y + shift[x]]
        lines[y[ours], x[ours]] = True
    return lines
