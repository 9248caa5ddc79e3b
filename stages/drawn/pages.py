"""Pages as people send them: strokes of a pen or a mouse, text in a font, an image of a data set enlarged.

What is drawn here is read in the same way as a picture that somebody sends, so that it differs from one in nothing but
who drew it. A page is uint8 [height,width], 0 = black.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import chain, islice
from math import cos, exp, sin
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
import torch
from mnist_serving.preprocess.canonicalize import PictureError, canonicalize
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stages.data import DatasetInfo

Points = npt.NDArray[np.float64]  # of a stroke, [n,2], x to the right and y downwards
Pixels = npt.NDArray[np.uint8]
Draw = Callable[[Generator], Pixels]  # returns a page

UNIT = 100  # strokes lie on a page of 100 by 100
SIDES = (100, 280)  # pixels that such a page may have a side
PENS = (0.03, 0.16)  # widths of a pen, as shares of the side
BASIC = ImageFont.Layout.BASIC  # the other one is used only where the system has fribidi, and places glyphs differently
FONT_SIZE, FONT_MARGIN = 110, 50  # pixels
FORKED_FROM, AT_ONCE = 64, 8  # pages: fewer are read here; what a process is given at a time
FEW = 16  # points that a mouse reports at least of a curve


def _read_page(page: Pixels, info: DatasetInfo) -> Pixels | None:
    """Return what a model of a data set sees of a page, uint8 [C,H,W], as `mnist_serving.images` does of a picture.

    That is None where there is nothing to see on it, or several figures.
    """
    channels, height, width = info.shape
    if not info.centred:
        sized = Image.fromarray(page).resize((width, height), Image.Resampling.BILINEAR)
        return np.stack([np.asarray(sized)] * channels)
    try:
        return canonicalize(page)[np.newaxis]
    except PictureError:
        return None


def read_pages(pages: Iterable[Pixels], info: DatasetInfo) -> Tensor:
    """Return what a model sees of those pages that can be read, in their order, uint8 [N,C,H,W].

    Reading takes far longer than drawing, so all cores that this process may use do it, where one can be forked and
    there are many pages.
    """
    read = partial(_read_page, info=info)
    pages = iter(pages)
    few = [*islice(pages, FORKED_FROM)]
    if len(few) < FORKED_FROM or sys.platform != "linux":
        images = [*map(read, chain(few, pages))]
    else:
        with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("fork")) as processes:
            images = [*processes.map(read, chain(few, pages), chunksize=AT_ONCE)]
    found = [image for image in images if image is not None]
    return torch.from_numpy(np.array(found, np.uint8).reshape(len(found), *info.shape))


def draw_images(draw: Draw, count: int, info: DatasetInfo, random: Generator) -> Tensor:
    """Draw until `count` pages could be read; return what a model sees of them, uint8 [count,C,H,W]."""
    images = torch.empty(0, *info.shape, dtype=torch.uint8)
    while missing := count - len(images):
        images = torch.cat([images, read_pages((draw(random) for _ in range(missing)), info)])
    return images


def draw_strokes(strokes: Sequence[Points], random: Generator) -> Pixels:
    """Draw strokes with one round pen, slanted and stretched a little, with a margin around them."""
    slanted = _slant(strokes, random)
    points = np.concatenate(slanted)
    side = random.uniform(*SIDES) * random.uniform(0.3, 0.8)
    width = max(2, round(side * PENS[0] * (PENS[1] / PENS[0]) ** random.random()))
    margin = side * random.uniform(0.1, 1, 4) + width
    page = Image.new("L", tuple((np.ptp(points, axis=0) * side / UNIT + margin[:2] + margin[2:]).astype(int)), 255)
    pen = ImageDraw.Draw(page)
    mouse = random.random() < 0.4  # noqa: PLR2004
    for stroke in slanted:
        path = (stroke - points.min(axis=0)) * side / UNIT + margin[:2]
        path = np.round(_by_mouse(path, random) if mouse else path)
        pen.line([*map(tuple, path.tolist())], fill=0, width=width, joint="curve")
        for end in path[[0, -1]].tolist():
            pen.circle(end, width / 2, fill=0)
    return np.asarray(page)


def _slant(strokes: Sequence[Points], random: Generator) -> list[Points]:
    """Stretch, slant and turn strokes."""
    stretch, slant, turn = exp(random.normal(0, 0.22)), random.normal(0, 0.18), random.normal(0, 0.08)
    turned = np.array([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]])
    return [stroke @ np.array([[stretch, 0], [slant, 1]]) @ turned for stroke in strokes]


def _by_mouse(path: Points, random: Generator) -> Points:
    """Return what a mouse reports of a path in pixels: some of a curve's points, each a little off."""
    if len(path) > FEW:
        count = max(FEW, len(path) // int(random.integers(3, 9)))
        path = path[np.unique([0, *random.choice(len(path), count, replace=False), len(path) - 1])]
    return path + random.normal(0, 0.8, path.shape)


def draw_text(text: str, font: str, random: Generator) -> Pixels:
    """Draw text in a font file, slanted and stretched a little."""
    text_image = _text_image(text, font)
    turn, stretch, slant = random.normal(0, 0.1), exp(random.normal(0.1, 0.3)), random.normal(0, 0.15)
    matrix = np.array([[cos(turn) * stretch, sin(turn) + slant], [-sin(turn), cos(turn)]])
    middle = np.array(text_image.size) / 2
    rows = np.column_stack([matrix, middle - matrix @ middle])
    ink = text_image.transform(
        text_image.size, Image.Transform.AFFINE, rows.ravel().tolist(), Image.Resampling.BILINEAR
    )
    return 255 - np.asarray(ink)


@cache
def _text_image(text: str, font: str) -> Image.Image:
    """Return the text in white on black, with a margin."""
    loaded = ImageFont.truetype(font, FONT_SIZE, layout_engine=BASIC)
    left, top, right, bottom = (round(side) for side in loaded.getbbox(text))
    image = Image.new("L", (right - left + 2 * FONT_MARGIN, bottom - top + 2 * FONT_MARGIN))
    ImageDraw.Draw(image).text((FONT_MARGIN - left, FONT_MARGIN - top), text, 255, loaded)
    return image


def read_again(images: Tensor, info: DatasetInfo, random: Generator) -> Tensor:
    """Return what a model sees of images that are enlarged and sent as pictures, uint8 [N,C,H,W].

    For a data set that is not like MNIST these are the images themselves. Those in which nothing is found are left out.
    """
    if not info.centred:
        return images
    return read_pages(_enlarge(images, random), info)


def _enlarge(images: Tensor, random: Generator) -> Iterator[Pixels]:
    """Yield grey images, uint8 [N,1,H,W], as pages, black on white."""
    for image in images[:, 0].numpy():
        side = int(random.integers(*SIDES))
        yield 255 - np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))
