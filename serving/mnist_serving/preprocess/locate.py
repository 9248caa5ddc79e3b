"""Where the digit is: hypotheses about the page, the most trusted first, until one shows a digit whole.

1. a smooth page, and what stands out from it most;
2. the same without the straight lines across the picture: ruled and squared paper, form boxes, the page's edges;
3. what is narrower than a window, whatever the light does: shadows, tables and gutters have hard edges.

A digit that the border cuts is taken where nothing whole is found; what lies along the border is no digit.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .background import QUARTERS, middle_points, page_surface, relief, top_hat
from .lines import straight_lines, without
from .ndimage import Box, Grey, Ints, Mask, SIXTEENTHS, box, components, inner_distance, maximum_filter, mean_width, quantile, rounded, uniform_filter

# Chosen on held-out training images; benchmarks/canonicalize.py measures what they give.
NOISE_FACTOR, LEAST_CONTRAST = 5.0, 10  # ink stands out by 5 deviations, and by 10 levels
QUARTER_OF_NORMAL = 0.3186  # a quarter of a normal distribution lies within this many deviations
INK_RANK, FOUND_SHARE = 0.75, 0.3  # found: above 30 % of the ink's upper quartile
SPECK_SHARE = 0.04  # lighter than this share of the main stroke: a speck
RIM_MOST = 0.8  # of its length: a digit that the border cuts has no more along one side
PAGE_SIDE, PAGE_MOST, PAGE_FILL = 0.25, 0.9, 0.85
LEAST_STROKE = 8
NOISY_SHARE = 7
HAT_FACTOR = 4  # times the median of the top hat: ink
WIDTH_LEAST = 4  # of a stroke, in coarse pixels: thinner ones count as so wide
INNER_SHARE = 0.1
BAR = 5
SOLID = 0.75
WEAK = 0.6

GRAINS = 2
FIGURE_HEIGHT, FIGURE_MASS, GAP_LEAST = 0.6, 0.2, 0
ABOVE_LEAST = 0.3
FLAT = 4
FIGURE_REACH, FIGURE_MOST = 4, 3
CLEARER = 5
FRAME_LEAST, FRAME_BAND, FRAME_COVERED, FRAME_SIDES, FRAMED_LEAST = 0.4, 12, 0.85, 3, 0.02
LEAST_EXTENT = 5  # of a digit, in coarse pixels


class Found(NamedTuple):
    """Ink on a picture of a page."""

    mask: Mask
    mass: int  # quarter levels, summed
    sign: int  # 1: lighter than the page, -1: darker
    surface: list[float]  # of the page around it, see `page_surface`
    noisy: bool = False
    figures: int = 1  # as large as a digit, the digit included


def find_ink(picture: Grey, *, nested: bool = False) -> Found:
    """Return the digit's ink; its mask is empty where nothing stands out as a digit does."""
    surface = page_surface(picture, np.ones(picture.shape, np.bool_))
    points = [middle_points(length, length) - length for length in picture.shape]
    heights = relief(picture, surface, *points)
    noise = quantile(np.abs(heights), 0.25) / QUARTER_OF_NORMAL
    least = max(NOISE_FACTOR * noise, LEAST_CONTRAST * QUARTERS)
    strong = np.abs(heights)[np.abs(heights) > least]
    grain = np.abs(heights - uniform_filter(heights, 3))
    noisy = False
    if strong.size and GRAINS* NOISE_FACTOR * quantile(grain, 0.25) / QUARTER_OF_NORMAL > FOUND_SHARE * quantile(strong, INK_RANK):
        heights = uniform_filter(heights, 1)
        least = least/2
        noisy = True
    inks = [(sign, sign * heights, _ink(sign * heights, least)) for sign in (-1, 1)]
    whole = _best(inks, surface, strokes=nested)
    if noisy and max(box(whole.mask).shape) * NOISY_SHARE < max(picture.shape):
        return whole._replace(mask=np.zeros_like(whole.mask))
    if _at_rim(whole.mask) > 0:
        thin = _best(inks, surface, strokes=True)
        if _is_digit(thin.mask) and thin.mass > CLEARER * _stroke_mass(whole.mask, heights):
            whole = thin
    if _is_frame(whole.mask):
        frame = box(whole.mask)
        framed = _best([(s, above, _unruled(ink, frame)) for s, above, ink in inks], surface, strokes=True)
        if _is_digit(framed.mask) and framed.mass > FRAMED_LEAST * _stroke_mass(whole.mask, heights):
            return framed
    if whole.mask.any() and not _along_rim(whole.mask) and not straight_lines(whole.mask).any() and (nested or not _is_solid(whole.mask)):
        return whole._replace(noisy=noisy)
    candidates = [_best([(s, above, _unruled(ink)) for s, above, ink in inks], surface, strokes=True)]
    hats = [(sign, top_hat(picture, sign)) for sign in (-1, 1)]
    inks = [(s, hat, _unruled(_ink(hat, _hat_noise(hat)), near_rim=True)) for s, hat in hats]
    hat = _best(inks, surface, strokes=True)
    candidates.append(hat._replace(surface=page_surface(picture, _around(hat.mask))))
    for page in () if nested else _pages(whole.mask):
        inner = find_ink(picture[page.scaled(1)], nested=True)
        mask = np.zeros_like(whole.mask)
        mask[page.scaled(1)] = inner.mask
        candidates.append(inner._replace(mask=mask, surface=page_surface(picture, _around(mask, page))))
    candidates = [found for found in candidates if _is_digit(found.mask)]
    if candidates:
        return max(candidates, key=lambda found: found.mass)
    return whole._replace(mask=np.zeros_like(whole.mask)) if _along_rim(whole.mask) else whole


def _is_solid(mask: Mask) -> bool:
    return any(True for _ in _pages(mask))


def _pages(mask: Mask) -> Iterator[Box]:
    """Yield the parts of the picture that may be a page of their own: what is solid, and what lies beside it."""
    for part in (mask, ~mask):
        page = box(part)
        area = page.shape[0] * page.shape[1]
        margin = 2 + max(mask.shape) // 60
        page = Box(page.top + margin, page.bottom - margin, page.left + margin, page.right - margin)
        if (
            min(page.shape) >= PAGE_SIDE * min(mask.shape)
            and area < PAGE_MOST * mask.size
            and part.sum() >= PAGE_FILL * area
        ):
            yield page


def _along_rim(mask: Mask) -> bool:
    """Return whether the ink lies along one side of the picture: no digit that the border cuts."""
    return max(int(side.sum()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])) > RIM_MOST * max(box(mask).shape)


def _is_digit(mask: Mask) -> bool:
    """Return whether there is ink of some size, and none at the border."""
    return max(box(mask).shape) >= LEAST_EXTENT and _at_rim(mask) == 0


def _at_rim(mask: Mask) -> float:
    """Return the share of the picture's outermost pixels that are ink."""
    return float(np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean())


def _is_frame(mask: Mask) -> bool:
    """Return whether ink runs along at least three of the four sides of its own box."""
    part = mask[box(mask).scaled(1)]
    if min(part.shape) < FRAME_LEAST * min(mask.shape):
        return False
    down, along = (2 + length // FRAME_BAND for length in part.shape)
    sides = (part[:down].any(0), part[-down:].any(0), part[:, :along].any(1), part[:, -along:].any(1))
    return sum(float(side.mean()) > FRAME_COVERED for side in sides) >= FRAME_SIDES


def _unruled(ink: Mask, part: Box | None = None, *, near_rim: bool = False) -> Mask:
    """Return the ink without straight lines; of a part of the picture, what lies in it."""
    if part is None:
        return without(ink, straight_lines(ink, near_rim=near_rim))
    inside = np.zeros_like(ink)
    inside[part.scaled(1)] = _unruled(ink[part.scaled(1)])
    return inside


def _hat_noise(hat: Ints) -> float:
    return max(HAT_FACTOR * float(quantile(hat, 0.5)), LEAST_CONTRAST * QUARTERS)


def _around(mask: Mask, page: Box | None = None) -> Mask:
    """Return the page beside the ink: its box with a margin, without the ink and what borders on it."""
    digit = box(mask)
    margin = 3 + max(digit.shape) // 4
    if page is None:
        page = Box(0, mask.shape[0], 0, mask.shape[1])
    part = np.zeros_like(mask)
    part[max(page.top, digit.top - margin): min(page.bottom, digit.bottom + margin), max(page.left, digit.left - margin): min(page.right, digit.right + margin)] = True
    return part & ~(maximum_filter(mask.astype(np.int64), 2) > 0)


def _ink(above: Ints, least: float) -> Mask:
    """Return what exceeds the threshold, and what is joined to it and exceeds the noise by less (Canny's hysteresis)."""
    strong = above[above > least]
    if not strong.size:
        return np.zeros(above.shape, np.bool_)
    level = FOUND_SHARE * quantile(strong, INK_RANK)
    weak = above > max(WEAK * least, level)
    where, label = components(weak)
    held = np.bincount(label, above.ravel()[where] > max(least, level), minlength=label.size) > 0
    weak.ravel()[where] = held[label]
    return weak


def _best(inks: list[tuple[int, Ints, Mask]], surface: list[float], *, strokes: bool = False) -> Found:
    """Return the heaviest group of any of the pictures of heights."""
    groups = [_main(sign, above, ink, surface, strokes=strokes) for sign, above, ink in inks]
    return max(groups, key=lambda group: group.mass)


def _stroke_mass(mask: Mask, heights: Ints) -> float:
    """Return the ink's mass by its width's third power: large for strokes, small for blots."""
    return 1000 * int(np.abs(heights)[mask].sum()) / max(int(mean_width(mask)), WIDTH_LEAST) ** 3


def _main(sign: int, above: Ints, ink: Mask, surface: list[float], *, strokes: bool) -> Found:
    """Return the heaviest group of ink with its main stroke's mass."""
    if not ink.any():
        return Found(ink, 0, sign, surface)
    where, label = components(ink)
    mass = summed(label, above.ravel()[where])
    extent = extents(ink.shape, where, label)
    if strokes:
        depth = inner_distance(ink).ravel()[where]
        width = 4 * summed(label, depth) // (SIXTEENTHS * np.maximum(1, np.bincount(label, minlength=mass.size)))
        mass = 1000 * mass // np.maximum(width, WIDTH_LEAST) ** 3
        bar = BAR * np.minimum(extent.height, extent.width) < np.maximum(extent.height, extent.width)
        bar |= np.bincount(label, minlength=mass.size) > SOLID * extent.height * extent.width
        mass[bar] //= BAR
        mass[np.maximum(extent.height, extent.width) < LEAST_STROKE] = 0
    most = int(mass.max())
    inner = np.where(extent.inner, mass, 0)
    if inner.max() >= (INNER_SHARE * most if strokes else most):
        mass = inner
    mask, figures = grouped(ink.shape, where, label, mass, extent)
    return Found(mask, most, sign, surface, figures=figures)


def summed(label: Ints, values: Ints) -> Ints:
    """Return for each label the sum of the values that bear it."""
    return rounded(np.bincount(label, values, minlength=label.size))


class Extents(NamedTuple):
    """The boxes of all components, by label: the first and the last row and column."""

    top: Ints
    bottom: Ints
    left: Ints
    right: Ints
    inner: Mask  # whether it stays off the border

    @property
    def height(self) -> Ints:
        return self.bottom - self.top + 1

    @property
    def width(self) -> Ints:
        return self.right - self.left + 1


def extents(shape: tuple[int, ...], where: Ints, label: Ints) -> Extents:
    """Return the boxes of all components."""
    y, x = np.divmod(where, shape[1])
    top, left = np.full(label.size, shape[0]), np.full(label.size, shape[1])
    bottom, right = np.full(label.size, -1), np.full(label.size, -1)
    np.minimum.at(top, label, y)
    np.minimum.at(left, label, x)
    np.maximum.at(bottom, label, y)
    np.maximum.at(right, label, x)
    inner = (top > 0) & (left > 0) & (bottom < shape[0] - 1) & (right < shape[1] - 1)
    return Extents(top, bottom, left, right, inner)


def grouped(shape: tuple[int, ...], where: Ints, label: Ints, mass: Ints, extent: Extents, *, alone: bool = False) -> tuple[Mask, int]:
    """Return the heaviest component with those near it that belong to it, and how many figures of its size there are."""
    main = int(mass.argmax())
    top, bottom, left, right = (int(side[main]) for side in extent[:4])
    longer = max(bottom - top, right - left)
    reach = longer // 3 + 2
    y, x = np.divmod(where, shape[1])
    near = (y >= top - reach) & (y <= bottom + reach) & (x >= left - reach) & (x <= right + reach)
    kept = (np.bincount(label, near, minlength=mass.size) > 0) & (mass >= SPECK_SHARE * mass[main])
    flat = extent.width >= FLAT * extent.height
    kept &= ~((extent.top > bottom + longer // 10) & flat)  # underlined
    compact = np.maximum(extent.height, extent.width) <= longer // 4
    kept &= ~((extent.left > right) & (2 * extent.top > top + bottom) & compact)  # a full stop
    figures = 1
    if not alone:
        beside = np.maximum(extent.left - right, left - extent.right)
        above = np.maximum(extent.top - bottom, top - extent.bottom)
        figure = (beside > GAP_LEAST * longer) | (above > ABOVE_LEAST * longer)
        figure &= (extent.height >= FIGURE_HEIGHT * (bottom - top + 1)) & (mass >= FIGURE_MASS * mass[main])
        figure &= (beside <= FIGURE_REACH * longer) & (above <= FIGURE_REACH * longer) & (extent.height <= FIGURE_MOST * (bottom - top + 1))
        if extent.inner[main]:
            figure &= extent.inner
        kept &= ~figure
        figures += int(figure.sum())
    mask = np.zeros(shape, np.bool_)
    mask.ravel()[where[kept[label]]] = True
    return mask, figures
