"""Pages drawn large, as people send them: strokes of a pen or a mouse, text of a font, cut-outs of photographs.

What is drawn here goes through `canonicalize`, as people's pictures do, so that what is learned from and what is asked
about differ in nothing but what is on them. A page is uint8 [height,width], 0 = black.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import cos, exp, log, sin

import numpy as np
import numpy.typing as npt
import torch
from mnist_serving.preprocess.canonicalize import PictureError, canonicalize
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Points = npt.NDArray[np.float64]  # [n,2], x to the right and y downwards
Pixels = npt.NDArray[np.uint8]
Page = Callable[[Generator], Pixels]

FEW = 20  # points: strokes with more are curves
UNIT = 100  # of strokes: they lie on a page of 100 by 100
SIDE = 28  # of what `canonicalize` returns


def canonical_images(page: Page, count: int, random: Generator) -> Tensor:
    """Draw until `canonicalize` has accepted `count` pages; return what it made of them, uint8 [count,1,28,28]."""
    images = np.empty((count, 1, SIDE, SIDE), np.uint8)
    row = 0
    while row < count:
        try:
            images[row, 0] = canonicalize(page(random))
        except PictureError:
            continue
        row += 1
    return torch.from_numpy(images)


def draw_strokes(strokes: Sequence[Points], random: Generator) -> Pixels:
    """Draw strokes, on a page of 100 by 100 or beyond it, with one round pen, slanted and stretched a little.

    The page has 100 to 280 pixels a side, or more where the strokes are wider than high.
    """
    slanted = _slant(strokes, random)
    everything = np.concatenate(slanted)
    low, extent = everything.min(axis=0), np.ptp(everything, axis=0) + 1
    size = random.uniform(100, 280) * random.uniform(0.3, 0.8) / UNIT  # pixels a unit
    width = max(2.0, size * UNIT * exp(random.uniform(log(0.03), log(0.16))))
    margin = size * UNIT * random.uniform(0.1, 1.0, 4) + width
    height_of_page, width_of_page = (extent[::-1] * size + margin[:2] + margin[2:]).round().astype(int)
    picture = Image.new("L", (int(width_of_page), int(height_of_page)), 255)
    pen = ImageDraw.Draw(picture)
    mouse = random.random() < 0.4
    for stroke in slanted:
        path = (stroke - low) * size + margin[1::-1]
        if mouse:
            path = _by_mouse(path, random)
        pen.line([*map(tuple, path.tolist())], fill=0, width=round(width), joint="curve")
        for x, y in path[[0, -1]].tolist():
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=0)
    return np.asarray(picture)


def _slant(strokes: Sequence[Points], random: Generator) -> list[Points]:
    """Stretch, slant and turn strokes."""
    stretch, slant, turn = exp(random.normal(0, 0.18)), random.normal(0, 0.15), random.normal(0, 0.08)
    turned = np.array([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]])
    return [stroke @ np.array([[stretch, 0], [slant, 1]]) @ turned for stroke in strokes]


def _by_mouse(stroke: Points, random: Generator) -> Points:
    """Return what a mouse reports of a stroke: few of a curve's points, and those a little off, in whole pixels."""
    if len(stroke) > FEW:
        kept = random.choice(len(stroke), max(FEW - 4, len(stroke) // int(random.integers(3, 9))), replace=False)
        stroke = stroke[np.unique([0, *kept, len(stroke) - 1])]
    return np.asarray(np.round(stroke + random.normal(0, 0.8, stroke.shape)))


def draw_text(text: str, font: str | None, random: Generator) -> Pixels:
    """Draw text with a font file, or with the font inside Pillow, slanted and stretched a little."""
    glyphs = _glyphs(text, font)
    turn, stretch, slant = random.normal(0, 0.1), exp(random.normal(0.1, 0.3)), random.normal(0, 0.15)
    across, along = cos(turn) * stretch, sin(turn)
    x, y = glyphs.width / 2, glyphs.height / 2
    matrix = (across, along + slant, x - x * across - y * (along + slant), -along, cos(turn), y + x * along - y * cos(turn))
    ink = glyphs.transform(glyphs.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return 255 - np.asarray(ink)


@cache
def _glyphs(text: str, font: str | None) -> Image.Image:
    size = 110
    loaded = ImageFont.truetype(font, size) if font else ImageFont.load_default(size)
    left, top, right, bottom = (round(side) for side in loaded.getbbox(text))
    margin = 50
    picture = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin))
    ImageDraw.Draw(picture).text((margin - left, margin - top), text, 255, loaded)
    return picture
