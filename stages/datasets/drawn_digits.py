"""Digits drawn by code, stroke by stroke, in hands that American MNIST hardly has.

Flagged and footed ones, open and pointed fours, crossed sevens, slashed zeros, hooked nines, sixes with wide loops: as
they are written in Germany, France, India and Japan, with felt pens and with a mouse. They are drawn large and go
through `canonicalize`, as people's pictures do. They are only for learning from: no accuracy is measured on them.

A style is a few masters with corresponding points, as in a variable font (D. Knuth, The Concept of a Meta-Font, Visible
Language 1982). A drawing blends them at random, moves every point a little and runs cubic splines through the points;
`drawn_digits.txt` holds the masters.
"""

from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from scipy.interpolate import CubicSpline

from stages.data import Split
from stages.pages import Pixels, Points, canonical_images, draw_strokes

STYLES_FILE = Path(__file__).with_suffix(".txt")
DIGITS = 10
SMOOTH = 12  # points of a curve between two points of a master


class Style(NamedTuple):
    """One way to write a digit.

    Attributes:
        digit: which.
        share: how often beside the digit's other styles.
        masters: float [masters,n,2], the points of all strokes in one row.
        corners: where strokes are parted: rows that end one curve and begin the next.
        ends: rows that begin a stroke, without the first.

    """

    digit: int
    share: float
    masters: Points
    corners: tuple[int, ...]
    ends: tuple[int, ...]


def draw_digits(pictures: int, *, seed: int) -> Split:
    """Draw as many pictures of each digit; return them as `canonicalize` makes them, uint8 [10 * pictures,1,28,28].

    The few that `canonicalize` refuses are drawn again. The same seed gives the same pictures.
    """
    random = np.random.default_rng(seed)
    images = [canonical_images(partial(draw_digit, digit), pictures, random) for digit in range(DIGITS)]
    return Split(torch.cat(images), torch.arange(DIGITS).repeat_interleave(pictures))


def draw_digit(digit: int, random: Generator) -> Pixels:
    """Return a page with a digit on it."""
    return draw_strokes(write(digit, random), random)


def write(digit: int, random: Generator) -> list[Points]:
    """Return the strokes of a digit in a random style, as polylines."""
    styles = [style for style in load_styles() if style.digit == digit]
    shares = np.array([style.share for style in styles])
    style = styles[random.choice(len(styles), p=shares / shares.sum())]
    blend = random.dirichlet(np.full(len(style.masters), 0.7))
    points = np.tensordot(blend, style.masters, 1)
    points = points + random.normal(0, random.uniform(0, 3), points.shape)
    strokes = []
    for part in np.split(points, style.ends):
        strokes.append(part + random.normal(0, 2, 2) * bool(style.ends))
    corners = [row for row in style.corners if row not in style.ends]
    starts = [0, *style.ends]
    return [
        curve(stroke, [row - start for row in corners if start < row < start + len(stroke) - 1])
        for start, stroke in zip(starts, strokes, strict=True)
    ]


def curve(points: Points, corners: list[int]) -> Points:
    """Return a smooth polyline through points [n,2] that turns sharply at the rows `corners` alone.

    Its parameter is the square root of the chords' length, which keeps it from overshooting (E. Lee, Choosing nodes in
    parametric curve interpolation, CAD 1989).
    """
    pieces = []
    for first, last in zip([0, *corners], [*corners, len(points) - 1], strict=True):
        piece = points[first : last + 1]
        chords = np.sqrt(np.linalg.norm(np.diff(piece, axis=0), axis=1)) + 1e-3
        time = np.concatenate([[0], chords.cumsum()])
        pieces.append(CubicSpline(time, piece, bc_type="natural")(np.linspace(0, time[-1], SMOOTH * len(piece))))
    return np.concatenate(pieces)


@cache
def load_styles() -> tuple[Style, ...]:
    """Read the masters: a line of digit, share and name, and below it one line a master."""
    styles: list[tuple[int, float, list[str]]] = []
    for line in STYLES_FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            styles[-1][2].append(line)
        elif not line.startswith("#"):
            digit, share, _ = line.split(maxsplit=2)
            styles.append((int(digit), float(share), []))
    return tuple(_as_style(*style) for style in styles)


def _as_style(digit: int, share: float, masters: list[str]) -> Style:
    rows = [[word for word in master.replace("/", " ").split()] for master in masters]
    points = np.array([[[float(side) for side in word.rstrip("!").split(",")] for word in row] for row in rows])
    corners = tuple(place for place, word in enumerate(rows[0]) if word.endswith("!"))
    lengths = [len(stroke.split()) for stroke in masters[0].split("/")]
    ends = tuple(np.cumsum(lengths)[:-1].tolist())
    return Style(digit, share, points, corners, ends)
