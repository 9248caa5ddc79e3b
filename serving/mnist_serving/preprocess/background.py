"""The page: its light, and the ink that stands out from it.

A quadratic surface follows light that falls off smoothly; a sharp shadow is beyond it. The sums are of
whole numbers and the equations are solved in one fixed order, so that a port to another language finds
the same coefficients to the last bit.
"""

import itertools

import numpy as np

from .ndimage import (
    Floats,
    Grey,
    Ints,
    Mask,
    block_mean,
    ceil_div,
    maximum_filter,
    minimum_filter,
    padded,
    quantile,
    rounded,
)

QUARTERS = 4  # of a grey level: the unit of what stands out from the page
SURFACE_SIDE = 60  # longer side of the copy that the surface is fitted to, in pixels
WHITE = 255
HAT_SHARE = 10  # half the top hat's window, as a part of the longer side: strokes are narrower than the window
TERMS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))  # powers of x and of y in a surface's six terms
PAGE_SHARE, PAGE_SPREAD = 0.35, 2.5  # page: within 2.5 times the residual of the best 35 %


def page_surface(picture: Grey, page: Mask) -> list[float]:
    """Return the six coefficients of the quadratic surface that fits the bare page's light.

    Least trimmed squares: fit, keep the pixels nearest to the fit, fit again; from the median of the
    picture's rim to a level, a plane, a quadratic. Coordinates are twice the pixels' distances from the
    middle: whole numbers.
    """
    step = min(ceil_div(max(picture.shape), SURFACE_SIDE), *picture.shape)
    small = block_mean(picture, step).astype(np.float64)
    inside = page[step // 2 :: step, step // 2 :: step][: small.shape[0], : small.shape[1]]
    inside = inside if inside.any() else np.ones_like(inside)
    sides = zip(small.shape, picture.shape, strict=True)
    y, x = ((2.0 * np.arange(count) + 1) * step - length for count, length in sides)
    down, across = (np.vander(side, 5, increasing=True).T.copy() for side in (y, x))  # powers
    rim = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    surface = [float(quantile(rim if page.all() else small[inside], 0.5)), 0.0, 0.0, 0.0, 0.0, 0.0]
    for degree in (0, 1, 1, 1, 2, 2, 2):
        residual = np.abs(small - _surface_at(surface, y[:, None], x))
        near = residual <= PAGE_SPREAD * quantile(residual[inside], PAGE_SHARE) + 1
        kept = (inside & near).astype(np.float64)
        moments = _moments(kept, down[: 2 * degree + 1], across[: 2 * degree + 1])
        levels = _moments(kept * small, down[: degree + 1], across[: degree + 1])
        surface = _least_squares(moments, levels, [term for term in TERMS if sum(term) <= degree])
    return surface


def _surface_at(c: list[float], y: Floats, x: Floats) -> Floats:
    """Return the surface's level; two rows of three terms, a parabola along x for each y."""
    values: Floats = c[0] + c[2] * y + c[5] * (y * y) + x * (c[1] + c[4] * y + c[3] * x)
    return values


def _moments(weights: Floats, down: Floats, across: Floats) -> list[list[float]]:
    """Return the sums of weight * x**i * y**j over all pixels, from the powers of y and of x, a row for each.

    Not by `@`, for which BLAS would start its threads. The sums are of whole numbers, exact in any order.
    """
    sums: list[list[float]] = np.einsum("jh,ih->ij", down, np.einsum("hw,iw->ih", weights, across)).tolist()
    return sums


def _least_squares(moments: list[list[float]], levels: list[list[float]], terms: list[tuple[int, int]]) -> list[float]:
    """Solve a surface's normal equations by Gaussian elimination, in one fixed order of operations."""
    count = len(terms)
    matrix = [[moments[i + k][j + m] for k, m in terms] for i, j in terms]
    right = [levels[i][j] for i, j in terms]
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
    return rounded(_blurred(picture) / (16 // QUARTERS) - QUARTERS * _surface_at(surface, y[:, None], x))


def top_hat(picture: Grey, sign: int) -> Ints:
    """Return how far what is narrower than a window of the picture lies above it (sign 1) or below, in quarter levels.

    The top-hat transform (Meyer, 1978): an edge of light, however hard, is not ink.
    """
    levels = _blurred(picture) // (16 // QUARTERS)
    reach = max(picture.shape) // HAT_SHARE + 1
    upright = levels if sign > 0 else QUARTERS * WHITE - levels
    opened = maximum_filter(minimum_filter(padded(upright, reach), reach), reach)
    return upright - opened[reach:-reach, reach:-reach]


def _blurred(picture: Grey) -> Ints:
    """Return sixteen times the levels, blurred by a binomial 3x3."""
    wider = padded(picture.astype(np.int64), 1)
    rows = wider[:-2] + 2 * wider[1:-1] + wider[2:]
    blurred: Ints = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    return blurred


def middle_points(length: int, count: int) -> Floats:
    """Return twice the places of the middles of `count` equal parts of `length`."""
    return (2.0 * np.arange(count) + 1) * length / count
