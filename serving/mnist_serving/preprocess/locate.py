"""Where the digit is: hypotheses about the page, the most trusted first, until one shows a digit whole.

1. a smooth page, and what stands out from it most;
2. a part of the picture that is a page of its own: on a table, beside a scanner's dark band, pasted on another;
3. the picture without the straight lines across it: ruled and squared paper, form boxes;
4. what is narrower than a window, whatever the light does: shadows, tables and gutters have hard edges.

What the border cuts is taken where no stroke off the border outweighs it; what lies along the border is not a digit.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .background import QUARTERS, middle_points, page_surface, relief, top_hat
from .figures import as_strokes, main_of_several, parts_of, stroke_mass
from .lines import straight_lines, without
from .ndimage import Box, Grey, Ints, Mask, box, components, maximum_filter, quantile, uniform_filter

# Chosen on held-out training images and on pictures drawn by code; benchmarks/canonicalize.py measures what they give.
NOISE_FACTOR, LEAST_CONTRAST = 5.0, 10  # ink stands out by 5 deviations, and by 10 levels
WEAK = 0.6  # of the threshold: ink, where it is joined to ink that exceeds it
QUARTER_OF_NORMAL = 0.3186  # a quarter of a normal distribution lies within this many deviations
INK_RANK, FOUND_SHARE = 0.75, 0.3  # found: above 30 % of the ink's upper quartile
GRAIN_RADIUS, GRAIN_FACTOR = 3, 10.0  # noise beyond 10 deviations from the mean nearby hides strokes: see `smooth_page`
GRAINY_SHARE = 7  # times a digit's extent in a grainy picture: more than the picture's longer side
HAT_FACTOR = 4  # times the median of the top hat: ink
LEAST_EXTENT = 5  # of a digit, in coarse pixels
RIM_MOST = 0.8  # of its length: a digit that the border cuts has at most so much along one side
INNER_SHARE = 0.1  # of the heaviest stroke's mass: one off the border is preferred to one that it cuts
CLEARER = 3  # times the mass as a stroke: a stroke is preferred to a blot at the border, the hat's digit to another
PAGE_SIDE, PAGE_MOST, PAGE_FILL = 0.25, 0.9, 0.85  # of the picture's side, of its area, of its own box: a page's sizes
LEAST_PAGE = 100  # coarse pixels: a smaller picture is of one page
# A frame has ink along three sides of its box, 85 % of each, within a twelfth; it is large, and holds some ink.
FRAME_SIDES, FRAME_COVERED, FRAME_BAND, FRAME_LEAST, FRAMED_LEAST = 3, 0.85, 12, 0.4, 0.03


class Found(NamedTuple):
    """Ink on a picture of a page."""

    mask: Mask  # of one figure
    ink: Mask  # everything of its tone that stands out, other figures included
    mass: int  # quarter levels, summed; of strokes, see `as_strokes`
    sign: int  # 1: lighter than the page, -1: darker
    surface: list[float]  # of the page around it, see `page_surface`
    figures: int = 1  # as large as a digit, the digit included
    grainy: bool = False  # the mask is all that can be known of the strokes


class View(NamedTuple):
    """A picture under a hypothesis about its page: for each sign how far it stands out, and the ink."""

    surface: list[float]
    inks: list[tuple[int, Ints, Mask]]
    grainy: bool = False


def find_ink(picture: Grey, *, nested: bool = False) -> Found:
    """Return the digit's ink; its mask is empty where nothing stands out as a digit does."""
    view = smooth_page(picture)
    whole = _whole(view, strokes=nested)
    if view.grainy and max(box(whole.mask).shape) * GRAINY_SHARE < max(picture.shape):
        return _nothing(whole)
    framed = _framed(view, whole)
    if framed:
        return framed
    large = max(picture.shape) >= LEAST_PAGE
    edge = _along_rim(whole.mask)
    pages = [] if nested or not large else [*_pages(whole.mask if whole.mask.any() else _darker(picture), beside=edge)]
    trusted = whole.mask.any() and not edge and not pages and not straight_lines(whole.mask).any()
    if trusted and not (large and _at_rim(whole.mask)):
        return whole
    least = stroke_mass(whole.mask, view.inks[0][1]) if trusted else 0  # the border cuts it: a digit, or a table
    on_pages = (_on_page(picture, page) for page in pages)
    for found in (on_pages, _off_lines(picture, view)):
        digits = [one for one in found if _is_digit(one.mask) and one.mass >= least]
        if digits:
            return max(digits, key=lambda one: one.mass)
    return _nothing(whole) if edge else whole


def _off_lines(picture: Grey, view: View) -> Iterator[Found]:
    """Yield what is found without lines, and without edges of light."""
    yield _best(_unruled(view), strokes=True)
    yield _hat(picture, view)


def smooth_page(picture: Grey) -> View:
    """Return the picture on a smooth page.

    Where the grain of a low picture is as strong as its strokes, blurring brings these out.
    """
    surface = page_surface(picture, np.ones(picture.shape, np.bool_))
    points = [middle_points(length, length) - length for length in picture.shape]
    heights = relief(picture, surface, *points)
    least = max(NOISE_FACTOR * _deviation(heights), LEAST_CONTRAST * QUARTERS)
    strong = np.abs(heights)[np.abs(heights) > least]
    grain = GRAIN_FACTOR * _deviation(heights - uniform_filter(heights, GRAIN_RADIUS))
    grainy = strong.size > 0 and grain > FOUND_SHARE * int(quantile(strong, INK_RANK))
    if grainy:
        heights, least = uniform_filter(heights, 1), least / 2
    return View(surface, [(sign, sign * heights, _ink(sign * heights, least)) for sign in (-1, 1)], grainy)


def _deviation(heights: Ints) -> float:
    """Return the standard deviation of noise, from its smallest quarter: ink is not noise."""
    return float(quantile(np.abs(heights), 0.25)) / QUARTER_OF_NORMAL


def _ink(above: Ints, least: float) -> Mask:
    """Return what exceeds the threshold, and what is joined to it and exceeds less (hysteresis: Canny, 1986)."""
    strong = above[above > least]
    if not strong.size:
        return np.zeros(above.shape, np.bool_)
    level = FOUND_SHARE * int(quantile(strong, INK_RANK))
    ink = above > max(WEAK * least, level)
    where, label = components(ink)
    held = np.bincount(label, above.ravel()[where] > max(least, level), minlength=label.size) > 0
    np.put(ink, where, held[label])
    return ink


def _whole(view: View, *, strokes: bool) -> Found:
    """Return what stands out most; a stroke inside the picture rather than a blot at its border, but for a page."""
    whole = _best(view, strokes=strokes)
    if not _at_rim(whole.mask):
        return whole
    stroke = _best(view, strokes=True)
    clear = stroke.mass > CLEARER * stroke_mass(whole.mask, view.inks[0][1])
    is_page = _fills(whole.mask, PAGE_FILL) and stroke.mask[box(whole.mask).scaled(1)].any()
    return stroke if clear and not is_page and _is_digit(stroke.mask) else whole


def _best(view: View, *, strokes: bool = False) -> Found:
    """Return the heaviest figure of either sign; with `strokes`, the one that looks most like strokes."""
    found = [_heaviest(view, *ink, strokes=strokes) for ink in view.inks]
    return max(found, key=lambda one: one.mass)


def _heaviest(view: View, sign: int, above: Ints, ink: Mask, *, strokes: bool) -> Found:
    """Return the heaviest figure of the ink, off the border if there is one that counts."""
    if not ink.any():
        return Found(ink, ink, 0, sign, view.surface)
    parts = parts_of(above, ink)
    if strokes:
        parts = as_strokes(parts, ink)
    most = int(parts.mass.max())
    inner = np.where(parts.inner, parts.mass, 0)
    if inner.max() >= (INNER_SHARE * most if strokes else most):
        parts = parts._replace(mass=inner)
    mask, figures = main_of_several(parts)
    return Found(mask, ink, most, sign, view.surface, figures, view.grainy)


def _nothing(found: Found) -> Found:
    return found._replace(mask=np.zeros_like(found.mask))


def _framed(view: View, whole: Found) -> Found | None:
    """Return the digit inside the frame that the found ink is, if it is one."""
    if not _is_frame(whole.mask):
        return None
    framed = _best(_unruled(view, box(whole.mask)), strokes=True)
    heights = np.abs(view.inks[0][1])
    enough = int(heights[framed.mask].sum()) > FRAMED_LEAST * int(heights[whole.mask].sum())
    return framed if enough and _is_digit(framed.mask) else None


def _is_frame(mask: Mask) -> bool:
    """Return whether ink runs along at least three of the four sides of its own box."""
    part = mask[box(mask).scaled(1)]
    if min(part.shape) < FRAME_LEAST * min(mask.shape):
        return False
    down, along = (2 + length // FRAME_BAND for length in part.shape)
    sides = (part[:down].any(0), part[-down:].any(0), part[:, :along].any(1), part[:, -along:].any(1))
    return sum(int(side.sum()) > FRAME_COVERED * side.size for side in sides) >= FRAME_SIDES


def _unruled(view: View, part: Box | None = None, *, near_rim: bool = False) -> View:
    """Return the view without straight lines across the picture, or across a part of it and nothing beside that."""
    inks = []
    for sign, above, ink in view.inks:
        rest = np.zeros_like(ink)
        where = (part or Box(0, ink.shape[0], 0, ink.shape[1])).scaled(1)
        rest[where] = without(ink[where], straight_lines(ink[where], near_rim=near_rim))
        inks.append((sign, above, rest))
    return view._replace(inks=inks, grainy=False)


def _hat(picture: Grey, view: View) -> Found:
    """Return the digit among what is narrower than the top hat's window, the page's surface fitted around it.

    Bare paper between a digit and the edge of its page is narrow too, so that its mass counts less.
    """
    inks = []
    for sign in (-1, 1):
        hat = top_hat(picture, sign)
        inks.append((sign, hat, _ink(hat, max(HAT_FACTOR * float(quantile(hat, 0.5)), LEAST_CONTRAST * QUARTERS))))
    found = _best(_unruled(view._replace(inks=inks), near_rim=True), strokes=True)
    height, width = picture.shape
    surface = page_surface(picture, _around(found.mask, Box(0, height, 0, width)))
    return found._replace(mass=found.mass // CLEARER, surface=surface)


def _pages(mask: Mask, *, beside: bool) -> Iterator[Box]:
    """Yield the parts of the picture that may be a page of their own: what is solid, and what lies beside it."""
    height, width = mask.shape
    margin = 2 + max(mask.shape) // 60
    solid = [box(part) for part in (mask, ~mask) if _fills(part, PAGE_FILL)]
    if beside:
        top, bottom, left, right = box(mask)
        solid += [Box(0, height, 0, left), Box(0, height, right, width)]
        solid += [Box(0, top, 0, width), Box(bottom, height, 0, width)]
    for part in solid:
        page = Box(part.top + margin, part.bottom - margin, part.left + margin, part.right - margin)
        small = part.shape[0] * part.shape[1] < PAGE_MOST * mask.size
        if small and min(page.shape) >= PAGE_SIDE * min(mask.shape):
            yield page


def _fills(mask: Mask, share: float) -> bool:
    """Return whether the ink fills a share of its own box."""
    height, width = box(mask).shape
    return int(mask.sum()) >= share * height * width


def _darker(picture: Grey) -> Mask:
    """Return what is darker than the middle of the picture's range."""
    low, high = (int(quantile(picture, share)) for share in (0.05, 0.95))
    darker: Mask = 2 * picture.astype(np.int64) < low + high
    return darker


def _on_page(picture: Grey, page: Box) -> Found:
    """Return the digit on a part of the picture."""
    found = find_ink(picture[page.scaled(1)], nested=True)
    mask, ink = np.zeros((2, *picture.shape), np.bool_)
    if not _at_rim(found.mask):
        mask[page.scaled(1)], ink[page.scaled(1)] = found.mask, found.ink
    return found._replace(mask=mask, ink=ink, surface=page_surface(picture, _around(mask, page)))


def _around(mask: Mask, page: Box) -> Mask:
    """Return the page beside the ink: its box with a margin, without the ink and what borders on it."""
    digit = box(mask)
    margin = 3 + max(digit.shape) // 4
    top, bottom = max(page.top, digit.top - margin), min(page.bottom, digit.bottom + margin)
    left, right = max(page.left, digit.left - margin), min(page.right, digit.right + margin)
    around = np.zeros_like(mask)
    around[Box(top, bottom, left, right).scaled(1)] = True
    return around & ~(maximum_filter(mask.astype(np.int64), 2) > 0)


def _is_digit(mask: Mask) -> bool:
    """Return whether the ink has some size and stays off the border."""
    return max(box(mask).shape) >= LEAST_EXTENT and not _at_rim(mask)


def _at_rim(mask: Mask) -> bool:
    """Return whether any of the picture's outermost pixels is ink."""
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _along_rim(mask: Mask) -> bool:
    """Return whether the ink lies along one side of the picture, more of it than of a digit that the border cuts."""
    most = max(int(side.sum()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    return most > RIM_MOST * max(box(mask).shape)
