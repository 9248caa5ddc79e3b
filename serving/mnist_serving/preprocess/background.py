"""The page: its light, and the ink that stands out from it.

A quadratic surface follows light that falls off smoothly; a sharp shadow is beyond it. The sums are of
whole numbers and the equations are solved in one fixed order, so that a port to another language finds
the same coefficients to the last bit.
"""

import itertools
from typing import NamedTuple

import numpy as np

from .ndimage import Floats, Grey, Ints, Mask, block_mean, box, ceil_div, components, quantile, rounded

QUARTERS = 4  # of a grey level: the unit of what stands out from the page
SURFACE_SIDE = 60  # longer side of the copy that the surface is fitted to, in pixels
PAGE_SHARE, PAGE_SPREAD = 0.35, 2.5  # page: within 2.5 times the residual of the best 35 %

# Chosen on held-out training images; benchmarks/canonicalize.py measures what they give.
NOISE_FACTOR, LEAST_CONTRAST = 5.0, 10  # ink stands out by 5 deviations, and by 10 levels
QUARTER_OF_NORMAL = 0.3186  # a quarter of a normal distribution lies within this many deviations
INK_RANK, FOUND_SHARE = 0.75, 0.3  # found: above 30 % of the ink's upper quartile
SPECK_SHARE = 0.04  # lighter than this share of the main stroke: a speck
# A page with its table in view: a digit on it touches no border, is at least 8 pixels long and at most
# 40 % of the side, and has 0.5 % of the mass of what fills the corner. In pictures from 100 pixels on.
TABLE_SIDE, ISLAND_LEAST, ISLAND_MOST, ISLAND_SHARE = 100, 8, 0.4, 0.005


class Found(NamedTuple):
    """Ink on a picture of a page."""

    mask: Mask
    mass: int  # quarter levels, summed
    sign: int  # 1: lighter than the page, -1: darker
    surface: list[float]  # of the page around it, see `page_surface`


def find_ink(picture: Grey) -> Found:
    """Return what stands out most from the page; its mask is empty where nothing does.

    What holds a corner of the picture may be the table behind the page, or the page on its table: then
    ink on either goes before it.
    """
    everything = np.ones(picture.shape, np.bool_)
    found = _outstanding(picture, everything, islands=False)
    mask = found.mask
    if mask[[0, 0, -1, -1], [0, -1, 0, -1]].any() and min(mask.shape) >= TABLE_SIDE:
        pages = (everything, mask, ~mask)
        island = max((_outstanding(picture, page, islands=True) for page in pages), key=lambda one: one.mass)
        if island.mass > ISLAND_SHARE * found.mass:
            return island
    return found


def _outstanding(picture: Grey, page: Mask, *, islands: bool) -> Found:
    """Return the heaviest group that stands out from the surface fitted to `page`, a part of the picture."""
    surface = page_surface(picture, page)
    points = [middle_points(length, length) - length for length in picture.shape]
    heights = relief(picture, surface, *points)
    noise = quantile(np.abs(heights[page]), 0.25) / QUARTER_OF_NORMAL
    least = max(NOISE_FACTOR * noise, LEAST_CONTRAST * QUARTERS)
    groups = [Found(*_heaviest(sign * heights, least, islands=islands), sign, surface) for sign in (-1, 1)]
    return max(groups, key=lambda group: group.mass)


def _heaviest(above: Ints, least: float, *, islands: bool) -> tuple[Mask, int]:
    """Return the heaviest group above the threshold with its main stroke's mass; islands touch no border."""
    if above.max() <= least:
        return np.zeros(above.shape, np.bool_), 0
    where, label = components(above > max(least, FOUND_SHARE * quantile(above[above > least], INK_RANK)))
    y, x = np.divmod(where, above.shape[1])
    mass = summed(label, above.ravel()[where])
    outer = (y == 0) | (y == above.shape[0] - 1) | (x == 0) | (x == above.shape[1] - 1)
    border = np.bincount(label, outer) > 0
    if islands or not border[mass.argmax()]:
        mass[border] = 0
    mask = grouped(above.shape, where, label, mass)
    fits = ISLAND_LEAST <= max(box(mask).shape) <= ISLAND_MOST * min(above.shape)
    return mask, int(mass.max()) if fits or not islands else 0


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


def page_surface(picture: Grey, page: Mask) -> list[float]:
    """Return the six coefficients of the quadratic surface that fits the bare page's light.

    Least trimmed squares: fit, keep the pixels nearest to the fit, fit again; from the median of the
    picture's rim to a level, a plane, a quadratic. Coordinates are twice the pixels' distances from the
    middle: whole numbers.
    """
    step = min(ceil_div(max(picture.shape), SURFACE_SIDE), *picture.shape)
    small = block_mean(picture, step).astype(np.float64)
    inside = page[step // 2 :: step, step // 2 :: step][: small.shape[0], : small.shape[1]]
    rows, columns = np.nonzero(inside if inside.any() else np.ones_like(inside))
    level = small[rows, columns]
    y, x = (2.0 * rows + 1) * step - picture.shape[0], (2.0 * columns + 1) * step - picture.shape[1]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    rim = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    surface = [float(quantile(rim if page.all() else level, 0.5)), 0.0, 0.0, 0.0, 0.0, 0.0]
    for count in (1, 3, 3, 3, 6, 6, 6):
        residual = np.abs(level - _surface_at(surface, y, x))
        kept = residual <= PAGE_SPREAD * quantile(residual, PAGE_SHARE) + 1
        surface = _least_squares(terms[:count, kept], level[kept])
    return surface


def _surface_at(c: list[float], y: Floats, x: Floats) -> Floats:
    """Return the surface's level; two rows of three terms, a parabola along x for each y."""
    values: Floats = c[0] + c[2] * y + c[5] * (y * y) + x * (c[1] + c[4] * y + c[3] * x)
    return values


def _least_squares(terms: Floats, level: Floats) -> list[float]:
    """Solve the normal equations by Gaussian elimination, in one fixed order of operations."""
    count = len(terms)
    # Not `@`: BLAS would start its threads. The sums are of whole numbers, exact in any order.
    matrix = [[float((one * other).sum()) for other in terms] for one in terms]
    right = [float((one * level).sum()) for one in terms]
    floor = [1e-9 * matrix[i][i] for i in range(count)]
    for i, j in itertools.combinations(range(count), 2):
        ratio = matrix[j][i] / matrix[i][i] if matrix[i][i] > floor[i] else 0.0
        for k in range(i, count):
            matrix[j][k] -= ratio * matrix[i][k]
        right[j] -= ratio * right[i]
    solution = [0.0] * 6
    for i in reversed(range(count)):
        for k in range(i + 1, count):
            right[i] -= matrix[i][k] * solution[k]
        solution[i] = right[i] / matrix[i][i] if matrix[i][i] > floor[i] else 0.0
    return solution


def relief(picture: Grey, surface: list[float], y: Floats, x: Floats) -> Ints:
    """Return how far the slightly blurred picture lies above the page, in quarter levels."""
    padded = np.pad(picture.astype(np.int64), 1, "edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    blurred = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]  # sixteen times the level
    return rounded(blurred / (16 // QUARTERS) - QUARTERS * _surface_at(surface, y[:, None], x))


def middle_points(length: int, count: int) -> Floats:
    """Return twice the places of the middles of `count` equal parts of `length`."""
    return (2.0 * np.arange(count) + 1) * length / count
