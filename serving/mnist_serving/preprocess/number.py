"""Several digits in a row: each one found, its neighbours left out, and drawn as MNIST draws it.

A figure is a connected component of the ink that `canonicalize` looks at, or several that lie over one another. Where
it is wide it may be digits that touch: then what lies between cuts through it is drawn, too, and `best_rows` chooses
between them by what a model says of each, see R. Casey and E. Lecolinet, "A survey of methods and strategies in
character segmentation", 1996. Nothing is recognised here.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .canonicalize import PictureError, as_mnist, check, is_canonical, look
from .cut import segments
from .figures import parts_of
from .lines import straight_lines, without
from .ndimage import Box, Grey, Mask, box, mean_width

# Chosen on numbers drawn by code; benchmarks/numbers.py measures what they give.
MOST_FIGURES, MOST_PIECES, MOST_CANDIDATES = 32, 250, 160
TALL, UNLIKE = 0.5, 2.2  # a digit's height, as a part of the main one's; the tallest digit's, of the lowest's
BESIDE = 3  # times the main digit's height, the largest distance to the next digit in the row
OVER = 0.5  # of the narrower one's width: so much of two pieces of one digit lies over the other
DOT, LEAST_DOT = 0.5, 3  # of a square as wide as the pen, and in pixels of the small copy: a speck has less ink
NEAR, LINES = 0.4, 3  # times the row's height: so far above and below it is a mark, or another line
LOW = 0.3  # of the row's height: what is higher is a mark up to BESIDE away, what is lower only up to that height
FLAT, BAR = 4, 5  # times as wide as high: an underline; times as high as wide: at the border, not a digit
SURE = 0.75  # confidence from which a figure is one digit, and from which each part of a cut one is one

UNLIKE_SIZES = "the figures in the picture have unlike sizes: send one number, its digits of about one size"
SEVERAL_LINES = "there are several lines of figures in the picture: send one number, its digits in one row"
MARKS = "there is something beside the digits that is not a digit: send a number without signs, points and letters"
TOO_MANY = f"there are more than {MOST_FIGURES} figures in the picture: send a number of at most so many digits"


class Place(NamedTuple):
    """Where a digit is, in pixels of its picture; `right` and `bottom` are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int


class Candidate(NamedTuple):
    """What may be a digit: where it is, of which figure, and between which of the figure's cuts, see `segments`."""

    place: Place
    figure: int
    first: int
    last: int


class Figure(NamedTuple):
    """Some components of a mask, by their labels, and the box around them."""

    part: Box
    labels: list[int]

    @property
    def height(self) -> int:
        """Rows of the box."""
        return self.part.bottom - self.part.top


def canonicalize_number(grey: Grey) -> tuple[Grey, list[Candidate]]:
    """Return what may be the digits of a number, as MNIST draws each: uint8 [N,28,28], and what each of them is.

    Figures follow one another from left to right. A digit that touches no other is one candidate, drawn as
    `canonicalize` draws it alone.

    Args:
        grey: uint8 [height, width], at least 8x8, ink darker or lighter than the page, the number in one row.

    Raises:
        PictureError: as for `canonicalize`; or there are several rows, unlike sizes, marks beside the digits, or more
            than 32 figures.

    """
    check(grey)
    if is_canonical(grey):
        return grey[None].copy(), [Candidate(_place(box(grey > 0), 1), 0, 0, 1)]
    fine, factor, found = look(grey)
    shrunk = max(grey.shape) / max(fine.shape)
    scale = factor * (round(shrunk) if shrunk > 1 else shrunk)
    figures = _figures(found.mask, without(found.ink, straight_lines(found.ink)) | found.mask)
    if len(figures) == 1:
        figures = [found.mask]
    images, candidates = [], []
    for number, figure in enumerate(figures):
        for first, last, mask in segments(figure):
            others = found.ink & ~mask if len(figures) > 1 or mask is not figure else None
            try:
                images.append(as_mnist(fine, factor, found._replace(mask=mask), others))
            except PictureError:
                continue
            candidates.append(Candidate(_place(box(mask), scale), number, first, last))
        if len(images) > MOST_CANDIDATES:
            raise PictureError(TOO_MANY)
    if len({candidate.figure for candidate in candidates}) < len(figures):
        raise PictureError(MARKS)
    return np.stack(images), candidates


def best_rows(candidates: list[Candidate], confidence: npt.NDArray[np.floating]) -> list[int]:
    """Return which candidates are the digits of the number, from left to right.

    A figure that is surely a digit is one. Any other is cut where the product of the parts' confidences is largest
    (dynamic programming), if all of them are sure.

    Args:
        candidates: N, as `canonicalize_number` returns them.
        confidence: [N], of a model: how probable it is that each is a digit, and the one that the model says.

    """
    groups: dict[int, list[int]] = defaultdict(list)
    for row, candidate in enumerate(candidates):
        groups[candidate.figure].append(row)
    return [row for rows in groups.values() for row in _best_of_figure(rows, candidates, confidence)]


def _best_of_figure(rows: list[int], candidates: list[Candidate], confidence: npt.NDArray[np.floating]) -> list[int]:
    """Return which of a figure's candidates are its digits; its best one where none fit together."""
    end = max(candidates[row].last for row in rows)
    whole = [row for row in rows if candidates[row].first == 0 and candidates[row].last == end]
    best: dict[int, tuple[float, list[int]]] = {0: (1.0, [])}
    for row in sorted(rows, key=lambda row: candidates[row].last):
        product, path = best.get(candidates[row].first, (0.0, []))
        if product * confidence[row] > best.get(candidates[row].last, (0.0, []))[0]:
            best[candidates[row].last] = product * float(confidence[row]), [*path, row]
    cut = best[end][1] if end in best else []
    if whole and (confidence[whole[0]] >= SURE or not cut or confidence[cut].min() < SURE):
        return whole
    return cut or [max(rows, key=lambda row: float(confidence[row]))]


def _place(part: Box, scale: float) -> Place:
    """Return a box of the small copy in pixels of the picture."""
    return Place(*(round(scale * side) for side in (part.left, part.top, part.right, part.bottom)))


def _figures(main: Mask, ink: Mask) -> list[Mask]:
    """Return the masks of the figures in the row of the main one, from left to right.

    Raises:
        PictureError: as for `canonicalize_number`.

    """
    parts = parts_of(ink.astype(np.int64), ink)
    labels = np.flatnonzero(parts.mass >= max(LEAST_DOT, DOT * mean_width(main) ** 2))
    if len(labels) > MOST_PIECES:
        raise PictureError(TOO_MANY)
    sides = np.stack([parts.top, parts.bottom + 1, parts.left, parts.right + 1], axis=1)[labels]
    pieces = [Figure(Box(*part), [label]) for part, label in zip(sides.tolist(), labels.tolist(), strict=True)]
    row = _row(pieces, Figure(box(main), np.unique(parts.label[main.ravel()[parts.where]]).tolist()))
    figures = _joined(row)
    _check_sizes(figures, main.shape[0])
    for piece in pieces:
        if piece not in row:
            _attach(piece, figures)
    return [parts.masked(np.isin(np.arange(parts.mass.size), figure.labels)) for figure in figures]


def _row(pieces: list[Figure], main: Figure) -> list[Figure]:
    """Return the pieces in the main figure's row: about as tall, and beside one that is in it."""
    waiting = [main]
    tall = [piece for piece in pieces if TALL * main.height <= piece.height <= main.height / TALL]
    ours = [piece for piece in pieces if piece.labels[0] in main.labels]
    row = [piece for piece in ours if piece in tall] or ours
    while waiting:
        one = waiting.pop()
        beside = [piece for piece in tall if piece not in row and _is_beside(piece.part, one.part, main.height)]
        row += beside
        waiting += beside
    return row


def _is_beside(part: Box, other: Box, height: int) -> bool:
    """Return whether a box is near another along the row, and on its level."""
    gap = max(part.left - other.right, other.left - part.right)
    level = min(part.bottom, other.bottom) - max(part.top, other.top)
    return gap <= BESIDE * height and 2 * level >= min(part.shape[0], other.shape[0])


def _joined(row: Iterable[Figure]) -> list[Figure]:
    """Return the figures, each of the pieces that lie over one another, from left to right."""
    figures: list[Figure] = []
    for piece in sorted(row, key=lambda piece: piece.part.left):
        if figures and _is_over(piece.part, figures[-1].part):
            figures[-1] = _together([figures[-1], piece])
        else:
            figures.append(piece)
    return figures


def _together(figures: list[Figure]) -> Figure:
    """Return figures as one."""
    tops, bottoms, lefts, rights = zip(*(figure.part for figure in figures), strict=True)
    labels = [label for figure in figures for label in figure.labels]
    return Figure(Box(min(tops), max(bottoms), min(lefts), max(rights)), labels)


def _is_over(part: Box, other: Box) -> bool:
    """Return whether a box lies over another, under it or in it."""
    shared = min(part.right, other.right) - max(part.left, other.left)
    return shared >= OVER * min(part.shape[1], other.shape[1])


def _check_sizes(figures: list[Figure], height: int) -> None:
    """Raise a `PictureError` if there are too many figures, or of sizes that digits in a picture's row do not have."""
    if len(figures) > MOST_FIGURES:
        raise PictureError(TOO_MANY)
    heights = [figure.height for figure in figures]
    if max(heights) > UNLIKE * min(heights):
        raise PictureError(UNLIKE_SIZES)
    cut_off = [figure.part for figure in figures if figure.part.top == 0 or figure.part.bottom == height]
    if any(part.shape[0] > BAR * part.shape[1] for part in cut_off):
        raise PictureError(MARKS)


def _attach(piece: Figure, figures: list[Figure]) -> None:
    """Add a piece outside the row to the figure that it lies over or under, if it does.

    Raises:
        PictureError: it is a mark, or of another line.

    """
    row, (top, bottom, left, right) = _together(figures), piece.part
    beside, above = max(left - row.part.right, row.part.left - right), max(top - row.part.bottom, row.part.top - bottom)
    underline = 2 * top > row.part.top + row.part.bottom and right - left > FLAT * piece.height
    stop = left >= row.part.right and 4 * top > row.part.top + 3 * row.part.bottom
    if beside > LINES * row.height or above > LINES * row.height or underline or stop:
        return
    over = [place for place, figure in enumerate(figures) if _is_over(piece.part, figure.part)]
    reach = BESIDE if piece.height >= LOW * row.height else 1
    if above <= NEAR * row.height and beside <= reach * row.height:
        if len(over) != 1 or piece.height > row.height:
            raise PictureError(MARKS)
        figures[over[0]] = _together([figures[over[0]], piece])
    elif piece.height >= TALL * row.height and piece.height <= row.height / TALL:
        raise PictureError(SEVERAL_LINES)
