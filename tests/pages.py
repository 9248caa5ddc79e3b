"""Digits drawn by code, and pages with lines, frames, tables and shadows to write them on."""

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.degrade import Picture

LINES = {
    1: [(14, 5), (14, 23)],
    2: [(9, 8), (13, 5), (18, 8), (18, 12), (9, 22), (19, 22)],
    4: [(10, 5), (9, 14), (19, 14), (17, 8), (17, 23)],
    5: [(18, 5), (10, 5), (10, 12), (16, 12), (18, 17), (14, 22), (9, 21)],
    7: [(8, 6), (19, 6), (12, 23)],
}


def drawn(digit: int, *, scale: int = 8, pen: float = 3.0) -> Picture:
    """Return white lines on black, `scale` times 28 pixels a side."""
    image = Image.new("L", (28 * scale, 28 * scale))
    points = [(x * scale, y * scale) for x, y in LINES[digit]]
    ImageDraw.Draw(image).line(points, fill=255, width=round(pen * scale), joint="curve")
    return np.asarray(image)


def small(digit: int) -> Picture:
    """Return the digit at MNIST's size."""
    return np.asarray(Image.fromarray(drawn(digit)).resize((28, 28), Image.Resampling.BOX))


def difference(one: Picture, other: Picture) -> float:
    """Return the mean difference as a share of the mean ink, one pixel's shift allowed.

    A centre of mass halfway between two pixels may be rounded either way.
    """
    first, second = np.pad(one.astype(float), 1), np.pad(other.astype(float), 1)
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    gaps = [np.abs(first - np.roll(second, shift, (0, 1))).sum() for shift in shifts]
    return float(min(gaps) / first.sum())


def written(digit: int, paper: Picture, *, side: int = 112, at: tuple[int, int] = (60, 90), ink: int = 50) -> Picture:
    """Return the paper with a digit on it, in dark ink."""
    pen = np.asarray(Image.fromarray(drawn(digit)).resize((side, side), Image.Resampling.BOX))
    picture = paper.copy()
    part = picture[at[0] : at[0] + side, at[1] : at[1] + side]
    part[...] = np.minimum(part, 230 - pen.astype(np.int64) * (230 - ink) // 255)
    return picture


def paper(*, height: int = 240, width: int = 300) -> Picture:
    """Return bare light paper."""
    return np.full((height, width), 230, np.uint8)


def ruled(*, pitch: int, level: int, slope: float = 0.0) -> Picture:
    """Return paper with lines across, sloping by so many pixels for each along."""
    page = paper()
    y, x = np.mgrid[: page.shape[0], : page.shape[1]]
    page[(y + np.floor(slope * x)) % pitch < 2] = level
    return page


def squared() -> Picture:
    page = ruled(pitch=40, level=150)
    page[:, 7::40] = 150
    return page


def boxed() -> Picture:
    page = paper()
    ImageDraw.Draw(image := Image.fromarray(page)).rectangle((20, 20, 278, 218), outline=20, width=4)
    return np.asarray(image)


def framed_at_the_rim() -> Picture:
    page = paper()
    page[:6] = page[-5:] = 30
    page[:, :7] = page[:, -4:] = 30
    return page


def beside_a_table() -> Picture:
    page = paper()
    page[:, :70] = 25
    return page


def beside_a_dark_half() -> Picture:
    """Return a page whose light no smooth surface follows, as a scanner leaves beside a book."""
    page = np.concatenate([np.full((240, 220), 15, np.uint8), paper()[:, :240]], axis=1)
    page[:, 224:228] = 140
    return page


def half_in_the_shadow() -> Picture:
    page = paper()
    page[:, 140:] = 150
    return page


PAPERS = {
    "ruled": ruled(pitch=45, level=120),
    "ruled, sloping": ruled(pitch=60, level=120, slope=0.04),
    "squared": squared(),
    "boxed": boxed(),
    "framed": framed_at_the_rim(),
    "table": beside_a_table(),
}
