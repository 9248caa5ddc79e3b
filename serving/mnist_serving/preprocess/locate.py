"""Where the digit is: hypotheses about the page, the most trusted first, until one shows a digit whole.

1. a smooth page, and what stands out from it most;
2. the same without the straight lines across the picture: ruled and squared paper, form boxes, the page's edges;
3. what is narrower than a window, whatever the light does: shadows, tables and gutters have hard edges.

A digit that the border cuts is taken where nothing whole is found; what lies along the border is no digit.
"""

from typing import NamedTuple

import numpy as np

from .background import QUARTERS, middle_points, page_surface, relief, top_hat
from .lines import straight_lines, without
from .ndimage import Box, Grey, Ints, Mask, SIXTEENTHS, box, components, distance, maximum_filter, quantile, rounded

# Chosen on held-out training images; benchmarks/canonicalize.py measures what they give.
NOISE_FACTOR, LEAST_CONTRAST = 5.0, 10  # ink stands out by 5 deviations, and by 10 levels
QUARTER_OF_NORMAL = 0.3186  # a quarter of a normal distribution lies within this many deviations
INK_RANK, FOUND_SHARE = 0.75, 0.3  # found: above 30 % of the ink's upper quartile
SPECK_SHARE = 0.04  # lighter than this share of the main stroke: a speck
CUT_MOST = 0.15  # of the picture's rim: a digit that the border cuts covers no more
HAT_FACTOR = 2.5  # times the median of the top hat: ink
WIDTH_LEAST = 4  # of a stroke, in coarse pixels: thinner ones count as so wide
INNER_SHARE = 0.1
LEAST_EXTENT = 5  # of a digit, in coarse pixels


class Found(NamedTuple):
    """Ink on a picture of a page."""

    mask: Mask
    mass: int  # quarter levels, summed
    sign: int  # 1: lighter than the page, -1: darker
    surface: list[float]  # of the page around it, see `page_surface`


def find_ink(picture: Grey) -> Found:
    """Return the digit's ink; its mask is empty where nothing stands out as a digit does."""
    surface = page_surface(picture, np.ones(picture.shape, np.bool_))
    points = [middle_points(length, length) - length for length in picture.shape]
    heights = relief(picture, surface, *points)
    noise = quantile(np.abs(heights), 0.25) / QUARTER_OF_NORMAL
    least = max(NOISE_FACTOR * noise, LEAST_CONTRAST * QUARTERS)
    inks = [(sign, sign * heights, _threshold(sign * heights, least)) for sign in (-1, 1)]
    whole = _best([(sign, above, above > most) for sign, above, most in inks], surface)
    lines = straight_lines(whole.mask)
    if whole.mask.any() and _at_rim(whole.mask) <= CUT_MOST and not lines.any():
        return whole
    ruled = _best([(s, above, _unruled(above > most)) for s, above, most in inks], surface, strokes=True)
    if _is_digit(ruled.mask):
        return ruled
    hats = [(sign, top_hat(picture, sign)) for sign in (-1, 1)]
    inks = [(s, hat, _unruled(hat > _threshold(hat, _hat_noise(hat)))) for s, hat in hats]
    hat = _best(inks, surface, strokes=True)
    if _is_digit(hat.mask):
        return hat._replace(surface=page_surface(picture, _around(hat.mask)))
    return whole if _at_rim(whole.mask) <= CUT_MOST else whole._replace(mask=np.zeros_like(whole.mask))


def _is_digit(mask: Mask) -> bool:
    """Return whether there is ink of some size, and none at the border."""
    return max(box(mask).shape) >= LEAST_EXTENT and _at_rim(mask) == 0


def _at_rim(mask: Mask) -> float:
    """Return the share of the picture's outermost pixels that are ink."""
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def _unruled(ink: Mask) -> Mask:
    return without(ink, straight_lines(ink, near_rim=True))


def _hat_noise(hat: Ints) -> float:
    return max(HAT_FACTOR * float(quantile(hat, 0.5)), LEAST_CONTRAST * QUARTERS)


def _around(mask: Mask) -> Mask:
    """Return the page beside the ink: its box with a margin, without the ink and what borders on it."""
    digit = box(mask)
    margin = 3 + max(digit.shape) // 4
    page = np.zeros_like(mask)
    page[Box(max(0, digit.top - margin), digit.bottom + margin, max(0, digit.left - margin), digit.right + margin).scaled(1)] = True
    return page & ~(maximum_filter(mask.astype(np.int64), 2) > 0)


def _threshold(above: Ints, least: float) -> float:
    """Return the level that ink exceeds."""
    strong = above[above > least]
    return max(least, FOUND_SHARE * quantile(strong, INK_RANK)) if strong.size else least


def _best(inks: list[tuple[int, Ints, Mask]], surface: list[float], *, strokes: bool = False) -> Found:
    """Return the heaviest group of any of the pictures of heights."""
    groups = [Found(*_main(above, ink, strokes=strokes), sign, surface) for sign, above, ink in inks]
    return max(groups, key=lambda group: group.mass)


def _main(above: Ints, ink: Mask, *, strokes: bool) -> tuple[Mask, int]:
    """Return the heaviest group of ink with its main stroke's mass."""
    if not ink.any():
        return ink, 0
    where, label = components(ink)
    y, x = np.divmod(where, above.shape[1])
    mass = summed(label, above.ravel()[where])
    if strokes:
        depth = distance(~np.pad(ink, 1))[1:-1, 1:-1].ravel()[where] - SIXTEENTHS // 2
        width = 4 * summed(label, depth) // (SIXTEENTHS * np.maximum(1, np.bincount(label, minlength=mass.size)))
        mass = 1000 * mass // np.maximum(width, WIDTH_LEAST) ** 3
    outer = (y == 0) | (y == above.shape[0] - 1) | (x == 0) | (x == above.shape[1] - 1)
    border = np.bincount(label, outer) > 0
    most = int(mass.max())
    inner = np.where(border, 0, mass)
    if inner.max() >= (INNER_SHARE * most if strokes else most):
        mass = inner
    return grouped(above.shape, where, label, mass), most


def summed(label: Ints, values: Ints) -> Ints:
    """Return for each label the sum of the values that bear it."""
    return rounded(np.bincount(label, values).astype(np.float64))


def grouped(shape: tuple[int, ...], where: Ints, label: Ints, mass: Ints) -> Mask:
    """Return the heaviest component with those near it that are more than specks."""
    main = int(mass.argmax())
    y, x = np.divmod(where, shape[1])
    ours = label == main
    top, bottom, left, right = y[ours].min(), y[ours].max(), x[ours].min(), x[ours].max()
    reach = max(bottom - top, right - left) // 3 + 2
    near = (y >= top - reach) & (y <= bottom + reach) & (x >= left - reach) & (x <= right + reach)
    kept = (np.bincount(label, near) > 0) & (mass >= SPECK_SHARE * mass[main])
    mask = np.zeros(shape, np.bool_)
    mask.ravel()[where[kept[label]]] = True
    return mask


