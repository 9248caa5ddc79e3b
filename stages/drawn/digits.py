"""Digits drawn by code, stroke by stroke, in handwriting that American MNIST hardly has.

Ones with a flag and a foot, open and pointed fours, crossed sevens, slashed zeros, hooked nines, sixes with wide loops,
as people write them in Germany, France, India and Japan. They are read as people's pictures are. Models learn from
them; no accuracy is measured on them.

A style is a few masters with corresponding points, as in a variable font (D. Knuth, The Concept of a Meta-Font, Visible
Language 1982). A drawing blends them at random, moves every point a little and runs cubic splines through the points.
`digits.txt` holds the masters.
"""

import re
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from tqdm import trange

from stages.config import Pictures, Section, Seed
from stages.data import DatasetInfo, Split
from stages.drawn.pages import Pixels, Points, draw_images, draw_strokes

STYLES_FILE = Path(__file__).with_name("digits.txt")
DIGITS = tuple("0123456789")
SMOOTH = 12  # points of a curve for each point of a master


class DrawnDigits(Section):
    """Box 1, digits drawn by code: `pictures` of each are added to the training images; 0 adds none."""

    pictures: Pictures
    seed: Seed

    def draw(self, info: DatasetInfo) -> Split:
        """Return what a model sees of them, a digit after the other; nothing for a data set that is not of digits."""
        count = self.pictures if info.centred and info.labels == DIGITS else 0
        random = np.random.default_rng(self.seed)
        digits = trange(len(DIGITS), desc="drawing digits", leave=False, disable=None)
        images = [draw_images(partial(draw_digit, digit), count, info, random) for digit in digits]
        return Split(torch.cat(images), torch.arange(len(DIGITS)).repeat_interleave(count))


class Style(NamedTuple):
    """One way to write a digit.

    Attributes:
        digit: which.
        share: how often, relative to the digit's other styles.
        masters: float [masters,n,2], the points of all strokes in a row.
        ends: where in that row the second stroke and later ones begin.
        corners: for each stroke the places at which it turns sharply.

    """

    digit: int
    share: float
    masters: Points
    ends: list[int]
    corners: list[list[int]]


def draw_digit(digit: int, random: Generator) -> Pixels:
    """Return a page with a digit in a random style."""
    return draw_strokes(write(digit, random), random)


def write(digit: int, random: Generator) -> list[Points]:
    """Return the strokes of a digit in a random style, as polylines on a page of 100 by 100."""
    styles = [style for style in load_styles() if style.digit == digit]
    shares = np.array([style.share for style in styles])
    style = styles[random.choice(len(styles), p=shares / shares.sum())]
    points = np.tensordot(random.dirichlet(np.full(len(style.masters), 0.7)), style.masters, 1)
    points = points + random.normal(0, random.uniform(0, 4), points.shape)
    strokes = np.split(points, style.ends)
    if len(strokes) > 1:  # which rarely meet as they should
        strokes = [stroke + random.normal(0, 3, 2) for stroke in strokes]
    return [curve(stroke, corners) for stroke, corners in zip(strokes, style.corners, strict=True)]


def curve(points: Points, corners: list[int]) -> Points:
    """Return a polyline through points [n,2] that turns sharply at the rows `corners` and is smooth elsewhere.

    Its parameter is the square root of the chords' length, which keeps it from overshooting (E. Lee, Choosing nodes in
    parametric curve interpolation, CAD 1989).
    """
    from scipy.interpolate import CubicSpline  # here, because most stages draw nothing and it takes long to import

    pieces = []
    for first, last in zip([0, *corners], [*corners, len(points) - 1], strict=True):
        piece = points[first : last + 1]
        chords = np.sqrt(np.linalg.norm(np.diff(piece, axis=0), axis=1)) + 1e-3
        time = np.concatenate([[0], chords.cumsum()])
        pieces.append(CubicSpline(time, piece, bc_type="natural")(np.linspace(0, time[-1], SMOOTH * len(piece))))
    return np.concatenate(pieces)


@cache
def load_styles() -> tuple[Style, ...]:
    """Read the masters: a line with digit, share and name of a style, and below it one line for each master."""
    styles: list[Style] = []
    for block in STYLES_FILE.read_text(encoding="utf-8").split("\n\n")[1:]:
        title, *masters = block.splitlines()
        digit, share, _name = title.split(maxsplit=2)
        strokes = [stroke.split() for stroke in masters[0].split("/")]
        corners = [[place for place, point in enumerate(stroke) if point.endswith("!")] for stroke in strokes]
        ends = np.cumsum([len(stroke) for stroke in strokes])[:-1].tolist()
        numbers = [re.findall(r"\d+", master) for master in masters]
        points = np.array(numbers, dtype=np.float64).reshape(len(masters), -1, 2)
        styles.append(Style(int(digit), float(share), points, ends, corners))
    return tuple(styles)
