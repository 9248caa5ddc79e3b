"""The pen: the width of a digit's strokes, measured and brought into MNIST's range."""

import numpy as np

from .ndimage import REACH, SIXTEENTHS, Ints, box, distance, maximum_filter, rounded, uniform_filter

DIGIT_SIDE = 20  # longer side of MNIST's digits, in MNIST pixels
PEN_LEAST, PEN_MOST = 1.9, 2.8  # width of strokes left alone, in MNIST pixels; chosen on held-out training images
CORE = 4  # half-width that thinning leaves everywhere, in working pixels
HALF = 127  # levels above it are inside a stroke


def even_pen(ink: Ints) -> Ints:
    """Return the ink, 0-255 and padded, with strokes brought to between `PEN_LEAST` and `PEN_MOST` MNIST pixels' width.

    In a stroke of width w the mean distance to its edge is w / 4. Moving each edge outwards by `delta`
    also makes the digit larger: (width + 2 delta) / (longer + 2 delta) = target / 20 gives `delta`.
    """
    ink = np.pad(ink, REACH)
    inside = ink > HALF
    longer = max(box(inside).shape)
    depth = distance(~inside) - SIXTEENTHS // 2
    width = 4 * int(depth[inside].sum()) / (SIXTEENTHS * int(inside.sum()))
    target = min(max(DIGIT_SIDE * width / longer, PEN_LEAST), PEN_MOST)
    delta = (target * longer - DIGIT_SIDE * width) / (2 * (DIGIT_SIDE - target))
    if delta == 0:
        return ink
    outwards = np.where(inside, -depth, distance(inside) - SIXTEENTHS // 2) / SIXTEENTHS
    if delta > 0:
        return rounded(255 * np.clip(0.5 + delta - outwards, 0, 1))
    # A thin part of a thick digit stays: no part loses more than what it has beyond CORE.
    half_width = maximum_filter(np.where(inside, depth, 0), int(CORE - delta) + 1)
    beyond = np.maximum(0, uniform_filter(half_width, 2) / SIXTEENTHS - CORE)
    return rounded(255 * np.clip(0.5 + np.maximum(delta, -beyond) - outwards, 0, 1))
