"""Pictures as people really send them, made from clean 28x28 digits.

Each function takes one digit (uint8 [28, 28], white ink on black) and a numpy
random generator, and returns a uint8 picture of any size, black ink on light
paper unless its name says otherwise. `KINDS` lists them by name; `degrade` is
the door. This module makes trouble for `canonicalize` to undo: it serves tests
and benchmarks, and nothing at run time imports it.
"""

# ruff: noqa: PLR2004 (the numbers are the degradations themselves)

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Ink = npt.NDArray[np.float64]  # [H, W], 0 = bare paper, 1 = full ink
Mask = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]  # [H, W]
Rng = np.random.Generator

SIDE = 28
PEN_SCALE = 8  # pens are drawn at 8 pixels per MNIST pixel


def degrade(digit: Picture, kind: str, seed: int | tuple[int, ...]) -> Picture:
    """Return `digit` as the picture called `kind`; the same seed, the same picture."""
    return KINDS[kind](digit, np.random.default_rng(seed))


def clean(digit: Picture, _rng: Rng) -> Picture:
    """Return the 28x28 digit as it is."""
    return digit


def enlarged(digit: Picture, rng: Rng) -> Picture:
    """3 to 20 times larger, smooth or in blocks, white on black."""
    return _levels(255 * _enlarge(digit, rng.uniform(3, 20), smooth=rng.random() < 0.8))


def shifted(digit: Picture, rng: Rng) -> Picture:
    """Somewhere on a white page up to four times its size."""
    ink = _enlarge(digit, rng.uniform(3, 8))
    page = _place(ink, _larger(ink, rng, 1.2, 4), rng)
    return _levels(255 - 255 * page)


def inverted(digit: Picture, rng: Rng) -> Picture:
    """Black on white, 1 to 12 times larger."""
    return _levels(255 - 255 * _enlarge(digit, rng.uniform(1, 12)))


def thin_pen(digit: Picture, rng: Rng) -> Picture:
    """Its middle line, drawn with a pen 0.7 to 1.3 MNIST pixels wide."""
    line = _skeleton(_enlarge(digit, PEN_SCALE) > 0.5)
    return _drawn(_dilate(line, PEN_SCALE * rng.uniform(0.35, 0.65)), rng)


def thick_pen(digit: Picture, rng: Rng) -> Picture:
    """Every stroke 1 to 2.5 MNIST pixels wider."""
    ink = np.pad(_enlarge(digit, PEN_SCALE), 2 * PEN_SCALE) > 0.5
    return _drawn(_dilate(ink, PEN_SCALE * rng.uniform(0.5, 1.25)), rng)


def grey_paper(digit: Picture, rng: Rng) -> Picture:
    """Grey ink on grey paper, either one the lighter."""
    ink = _enlarge(digit, rng.uniform(3, 10))
    ink = _place(ink, _larger(ink, rng, 1, 2), rng)
    paper, contrast = rng.uniform(100, 155), rng.uniform(50, 100)
    return _levels(paper + rng.choice((-1, 1)) * contrast * ink)


def shaded(digit: Picture, rng: Rng) -> Picture:
    """Dark ink on paper under light that falls off by up to two thirds."""
    ink = _enlarge(digit, rng.uniform(3, 10))
    ink = _place(ink, _larger(ink, rng, 1.1, 2.5), rng)
    return _levels(_paper(ink, rng) * _light(ink.shape, rng, 0.65))


def noisy(digit: Picture, rng: Rng) -> Picture:
    """Paper fibres, sensor noise and specks of dust, some as dark as ink."""
    ink = _enlarge(digit, rng.uniform(3, 10))
    ink = _place(ink, _larger(ink, rng, 1.1, 2.5), rng)
    page = _paper(ink, rng) + _fibres(ink.shape, rng, 12)
    page += rng.normal(0, rng.uniform(5, 25), ink.shape)
    dust = rng.random(ink.shape)
    page[dust < 0.002] = 0
    page[dust > 0.998] = 255
    return _levels(page)


def photo(digit: Picture, rng: Rng) -> Picture:
    """640x480, the digit small in one corner of a shaded, noisy page, as JPEG."""
    ink = _photo_ink(digit, rng)
    page = (_paper(ink, rng) + _fibres(ink.shape, rng, 6)) * _light(ink.shape, rng, 0.5)
    return _camera(page, rng)


def page_edge(digit: Picture, rng: Rng) -> Picture:
    """Return the photo again, with a dark table beyond two edges of the page."""
    ink = _photo_ink(digit, rng)
    page = (_paper(ink, rng) + _fibres(ink.shape, rng, 6)) * _light(ink.shape, rng, 0.4)
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    top, left = np.nonzero(ink > 0.1)[0].min(), np.nonzero(ink > 0.1)[1].min()
    slant = rng.uniform(-0.05, 0.05)
    edge_y, edge_x = rng.uniform(0, 0.7) * top, rng.uniform(0, 0.7) * left
    table = (y < edge_y + slant * (x - left)) | (x < edge_x - slant * (y - top))
    page[table] = rng.uniform(20, 90)
    return _camera(page, rng)


KINDS: dict[str, Callable[[Picture, Rng], Picture]] = {
    "clean": clean,
    "enlarged": enlarged,
    "shifted": shifted,
    "inverted": inverted,
    "thin pen": thin_pen,
    "thick pen": thick_pen,
    "grey paper": grey_paper,
    "shaded": shaded,
    "noisy": noisy,
    "photo": photo,
    "page edge": page_edge,
}


def _levels(values: npt.NDArray[Any]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _enlarge(digit: Picture, factor: float, *, smooth: bool = True) -> Ink:
    side = max(SIDE, round(SIDE * factor))
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    large = np.asarray(Image.fromarray(digit).resize((side, side), how), np.float64)
    return np.asarray(large / 255)


def _larger(ink: Ink, rng: Rng, least: float, most: float) -> tuple[int, int]:
    height, width = ink.shape
    return round(height * rng.uniform(least, most)), round(width * rng.uniform(least, most))


def _place(ink: Ink, shape: tuple[int, int], rng: Rng) -> Ink:
    page = np.zeros(shape)
    top = rng.integers(0, shape[0] - ink.shape[0] + 1)
    left = rng.integers(0, shape[1] - ink.shape[1] + 1)
    page[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return page


def _drawn(ink: Mask, rng: Rng) -> Picture:
    """Return a two-level drawing, black on white, softened and 3 to 8 times MNIST's size."""
    side = round(ink.shape[0] * rng.uniform(3, 8) / PEN_SCALE)
    small = Image.fromarray(_levels(255.0 * ink)).resize((side, side), Image.Resampling.BOX)
    return 255 - np.asarray(small)


def _paper(ink: Ink, rng: Rng) -> Ink:
    paper = rng.uniform(170, 250)
    return paper - (paper - rng.uniform(10, 80)) * ink


def _light(shape: tuple[int, int], rng: Rng, depth: float) -> Ink:
    """Return a smooth factor in [1 - depth, 1]: a slope, and a lamp's round fall-off."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = (1 + (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)) / 2
    lamp_y, lamp_x = rng.uniform(-1, 1, 2)
    lamp = ((y - lamp_y) ** 2 + (x - lamp_x) ** 2) / 8
    return np.asarray(1 - rng.uniform(0.3, 1) * depth * (slope + lamp) / 2)


def _fibres(shape: tuple[int, int], rng: Rng, most: float) -> Ink:
    """Return the paper's mottle: smooth noise of a few pixels' grain, within about ±`most`."""
    grain = rng.uniform(2, 6)
    coarse = rng.normal(0, 40, (int(shape[0] / grain) + 2, int(shape[1] / grain) + 2))
    picture = Image.fromarray(_levels(128 + coarse)).resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray((np.asarray(picture, np.float64) - 128) / 80 * rng.uniform(0, most))


def _photo_ink(digit: Picture, rng: Rng) -> Ink:
    """Return a 480x640 page with the digit 3 to 7 times enlarged, tilted, in one corner."""
    side = round(SIDE * rng.uniform(3, 7))
    picture = Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)
    picture = picture.rotate(rng.uniform(-6, 6), Image.Resampling.BICUBIC)
    page = np.zeros((480, 640))
    page[:side, :side] = np.asarray(picture, np.float64) / 255
    page = np.roll(page, tuple(rng.integers(0, 60, 2)), (0, 1))
    if rng.random() < 0.5:
        return page  # top left
    box = page[: side + 60, : side + 60].copy()
    page[:] = 0
    top, left = rng.choice((0, 480 - side - 60)), rng.choice((0, 640 - side - 60))
    page[top : top + side + 60, left : left + side + 60] = box
    return page


def _camera(page: Ink, rng: Rng) -> Picture:
    """Return what a small camera makes of it: sensor noise, then JPEG."""
    seen = _levels(page + rng.normal(0, rng.uniform(2, 10), page.shape))
    file = io.BytesIO()
    Image.fromarray(seen).save(file, "JPEG", quality=int(rng.integers(50, 95)))
    return np.asarray(Image.open(file))


def _dilate(ink: Mask, radius: float) -> Mask:
    """Return bool `ink` widened by a disc of `radius` pixels."""
    reach = int(radius)
    padded = np.pad(ink, reach)
    height, width = ink.shape
    out = np.zeros_like(ink)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dy * dy + dx * dx <= radius * radius:
                top, left = reach + dy, reach + dx
                out |= padded[top : top + height, left : left + width]
    return out


def _skeleton(ink: Mask) -> Mask:
    """Return bool `ink` thinned to lines one pixel wide (Zhang and Suen, 1984)."""
    ink = np.pad(ink, 1)
    while True:
        before = ink.sum()
        for turn in (0, 1):
            ink = ink & ~_removable(ink, turn)
        if ink.sum() == before:
            return ink[1:-1, 1:-1]


def _removable(ink: Mask, turn: int) -> Mask:
    steps = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    ring = [np.roll(ink, (-dy, -dx), (0, 1)) for dy, dx in steps]
    count = sum(p.astype(np.uint8) for p in ring)
    rises = sum((~p & q).astype(np.uint8) for p, q in zip(ring, ring[1:] + ring[:1], strict=True))
    north, east, south, west = ring[0::2]
    open_sides = (
        ~(north & east & south) & ~(east & south & west)
        if turn == 0
        else ~(north & east & west) & ~(north & south & west)
    )
    return np.asarray(ink & (count >= 2) & (count <= 6) & (rises == 1) & open_sides)
