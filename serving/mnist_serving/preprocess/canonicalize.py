"""Turn a picture of one digit into what MNIST looks like.

The steps, in the order in which `canonicalize` takes them:

1. find, in `locate.py`: on a small copy, fit the light on the bare page with a smooth surface, and take
   the group of pixels that stands out from it most;
2. cut out: bring that part to about 80 pixels a side, subtract the page, sharpen;
3. even the pen, in `stroke_width.py`: bring the stroke's width into the range usual in MNIST;
4. place: shrink into 20x20 by area averaging, keeping the proportions, and put the centre of mass into
   the middle of 28x28, as LeCun describes the data set (http://yann.lecun.com/exdb/mnist/).

Only elementary arithmetic is used, and every sum is a sum of whole numbers below 2**53, exact in any
order: a port to another language gives the same bytes. This module decodes no files and recognises nothing.
"""

import numpy as np

from mnist_serving.errors import MnistServingError

from .background import QUARTERS, middle_points, relief
from .figures import main_figure, parts_of
from .locate import INK_RANK, LEAST_CONTRAST, LEAST_EXTENT, Found, find_ink
from .ndimage import (
    Box,
    Grey,
    Ints,
    Mask,
    block_mean,
    box,
    ceil_div,
    divided,
    maximum_filter,
    quantile,
    resampled,
    uniform_filter,
)
from .stroke_width import DIGIT_SIDE, HALF, even_pen

SIDE, CENTRE = 28, 14  # of MNIST's picture; its digits' centre of mass
LEAST_SIDE, LONGEST = 8, 1000  # pixels; times the shorter side

# Sizes of the copies worked on, in pixels along the longer side.
FINE_SIDE, COARSE_SIDE, WORK_SIDE = 1024, 240, 80
SMALL_SIDE = 56  # what is smaller gets enlarged first

# Chosen on held-out training images; benchmarks/canonicalize.py measures what they give.
NEAR = 2  # coarse pixels beyond the ink that are still looked at: beyond may lie the edge of the page
SHARPEN_RADIUS, SHARPEN = 8, 2  # working pixels; times the difference from the blurred
EDGE = 63  # levels above it belong to the digit's box
SOFT = 2  # working pixels that the strokes' edges are blurred by: MNIST's are softer than ours

BLANK = (
    "no digit found in the picture: nothing larger than a speck stands out from the page; "
    "send one digit, clearly darker or lighter than the page, at least a fiftieth of its size"
)
SEVERAL = "there are {} figures in the picture: send one digit at a time"


class PictureError(MnistServingError, ValueError):
    """A picture is none, or has no digit in it."""


def canonicalize(grey: Grey) -> Grey:
    """Return a picture of one digit as MNIST draws it: white on black, centred, uint8 [28, 28].

    A picture already in MNIST's form comes back unchanged, so that doing it twice is doing it once.

    Args:
        grey: uint8 [height, width], at least 8x8, ink darker or lighter than the page.

    Raises:
        PictureError: another type, shape or size, or no ink stands out from the page. A `ValueError`.

    """
    check(grey)
    if is_canonical(grey):
        return grey.copy()
    fine, factor, found = look(grey)
    if found.figures > 1:
        raise PictureError(SEVERAL.format(found.figures))
    return as_mnist(fine, factor, found)


def look(grey: Grey) -> tuple[Grey, int, Found]:
    """Return the picture at a workable size, by how much less its small copy has, and what is found on that.

    Raises:
        PictureError: no ink stands out from the page.

    """
    fine = _fine(grey)
    factor = _coarse_factor(fine)
    found = find_ink(block_mean(fine, factor))
    if max(box(found.mask).shape) < LEAST_EXTENT:
        raise PictureError(BLANK)
    return fine, factor, found


def as_mnist(fine: Grey, factor: int, found: Found, others: Mask | None = None) -> Grey:
    """Return the figure that is found on the small copy of a picture as MNIST draws it, uint8 [28, 28].

    Args:
        fine: the picture, at a workable size.
        factor: by how much less its small copy has.
        found: the figure.
        others: ink that is not of it, however near, a mask like the figure's.

    Raises:
        PictureError: it is a line, or lost when looked at closely.

    """
    if found.grainy:  # the strokes show on the small copy alone, and blurred
        fine, factor = uniform_filter(block_mean(fine, factor).astype(np.int64), 1).astype(np.uint8), 1
    return _place(even_pen(_crisp(*_cut_out(fine, factor, found, others))))


def check(grey: object) -> None:
    """Raise a `PictureError` that says what is wrong with an array that is not a grey picture."""
    if not isinstance(grey, np.ndarray):
        raise PictureError(f"canonicalize wants a numpy array, uint8 [height, width], not {type(grey).__name__}")
    got = f"canonicalize wants grey levels 0-255 as uint8 [height, width], not {grey.dtype} {[*grey.shape]}: "
    if grey.dtype != np.uint8:
        raise PictureError(got + "scale to 0-255 and convert with .astype(numpy.uint8)")
    if grey.ndim != 2:  # noqa: PLR2004 (height and width)
        raise PictureError(got + "give one picture at a time, its colours averaged to grey")
    if min(grey.shape) < LEAST_SIDE:
        raise PictureError(got + f"each side must be at least {LEAST_SIDE} pixels")
    if max(grey.shape) > LONGEST * min(grey.shape):  # its small copy would be a line, and its background take gigabytes
        raise PictureError(BLANK)


def is_canonical(grey: Grey) -> bool:
    """Return whether the picture is what `_centred` makes of the digit in it."""
    if grey.shape != (SIDE, SIDE) or grey.max() <= HALF:
        return False
    digit = box(grey > 0)
    return max(digit.shape) == DIGIT_SIDE and np.array_equal(_centred(grey[digit.scaled(1)].astype(np.int64)), grey)


def _fine(grey: Grey) -> Grey:
    """Return the picture at a workable size: the longer side 56 to 1024 pixels."""
    longer = max(grey.shape)
    if longer < SMALL_SIDE:
        times = ceil_div(SMALL_SIDE, longer)
        return resampled(grey, (grey.shape[0] * times, grey.shape[1] * times)).astype(np.uint8)
    return block_mean(grey, min(ceil_div(longer, FINE_SIDE), *grey.shape))


def _coarse_factor(fine: Grey) -> int:
    """Return by how much the picture shrinks to be looked at."""
    height, width = fine.shape
    return int(min(ceil_div(max(height, width), COARSE_SIDE), height, width))


def coarse_copy(grey: Grey) -> Grey:
    """Return the small copy that the digit is looked for on."""
    fine = _fine(grey)
    return block_mean(fine, _coarse_factor(fine))


def _cut_out(fine: Grey, factor: int, found: Found, others: Mask | None) -> tuple[Ints, Mask]:
    """Return the ink with a margin, in quarter levels, about 80 pixels long, and where the digit may lie in it."""
    height, width = found.mask.shape
    top, bottom, left, right = box(found.mask)
    longer = max(bottom - top, right - left)
    margin = 2 + longer // 8
    part = Box(max(0, top - margin), min(height, bottom + margin), max(0, left - margin), min(width, right + margin))
    rows, columns = (divided(length * WORK_SIDE, longer) for length in part.shape)
    if min(rows, columns) == 0:  # a line as long as a strip of paper
        raise PictureError(BLANK)
    picture = resampled(fine[part.scaled(factor)], (rows, columns)).astype(np.uint8)
    y = 2 * part.top - height + middle_points(part.shape[0], rows)
    x = 2 * part.left - width + middle_points(part.shape[1], columns)
    around = maximum_filter(found.mask.astype(np.int64), NEAR)
    if others is not None:
        around[others] = 0
    near = resampled(around[part.scaled(1)], (rows, columns))
    return found.sign * relief(picture, found.surface, y, x), near > 0


def _crisp(ink: Ints, near: Mask) -> Ints:
    """Return the ink sharpened and cleaned of specks, 0 or 255 but for its softest edges."""
    ink = (ink + SHARPEN * (ink - uniform_filter(uniform_filter(ink, SHARPEN_RADIUS), SHARPEN_RADIUS))) * near
    strong = ink[ink > LEAST_CONTRAST * QUARTERS]
    if not strong.size:
        raise PictureError(BLANK)
    full = int(quantile(strong[strong > quantile(strong, INK_RANK) // 2], 0.5))
    digit = main_figure(parts_of(ink, ink > 2 * full // 5))
    # From 20 % of full ink to 60 %, black to white.
    crisp = np.clip(255 * (5 * ink - full) // (2 * full), 0, 255)
    return crisp * maximum_filter(digit.astype(np.int64), 2)


def _place(ink: Ints) -> Grey:
    """Return the ink fitted into 20x20 and centred in 28x28.

    Both sides are shrunk by the same factor: bringing the shorter to a whole number of pixels would
    make the one stroke of a 1 a sixth wider or narrower.
    """
    ink = uniform_filter(ink, SOFT)
    digit = box(ink > EDGE)
    if max(digit.shape) == 0:
        raise PictureError(BLANK)
    square = np.zeros((max(digit.shape), max(digit.shape)), np.int64)
    top, left = ((max(digit.shape) - length) // 2 for length in digit.shape)
    square[top : top + digit.shape[0], left : left + digit.shape[1]] = ink[digit.scaled(1)]
    small = resampled(square, (DIGIT_SIDE, DIGIT_SIDE))
    return _centred(small[box(small > 0).scaled(1)])


def _centred(digit: Ints) -> Grey:
    """Return 28x28 with the digit moved by whole pixels, its centre of mass on pixel 14, 14."""
    height, width = digit.shape
    mass = int(digit.sum())
    y = divided(int((digit.sum(1) * np.arange(height)).sum()), mass)
    x = divided(int((digit.sum(0) * np.arange(width)).sum()), mass)
    top = min(max(CENTRE - y, 0), SIDE - height)
    left = min(max(CENTRE - x, 0), SIDE - width)
    picture = np.zeros((SIDE, SIDE), np.uint8)
    picture[top : top + height, left : left + width] = digit
    return picture
