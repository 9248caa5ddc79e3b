"""Out-of-distribution pictures, anything but one digit, drawn by code: uint8 [N,1,28,28], 0 = background, 255 = ink.

People send letters, scribbles and doodles too. The detector learns from the kinds in `TRAINED` and is evaluated on
those in `REPORTED`; no kind and no font is in both.
"""

from collections.abc import Sequence
from functools import cache
from math import cos, sin

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import affine_transform
from torch import Tensor
from torch.nn import functional

from stages.abstain.strokes import FIGURES, NOISES, SIDE, Pixels, Points
from stages.data import fit_into_frame

CANVAS = 96  # pixels a side to draw on
# Without B D G I L O Q S Z and b g i l o q s z, which some hands and fonts draw like digits.
LETTERS = "ACEFHJKMNPRTUVWXYacdefhjkmnprtuvwxy"
TRAINED = ("beziers", "compositions", "triangles", "crossed_rings", "grains", "specks", "letters")
REPORTED = {
    "scribbles": ("scribbles",),
    "shapes": ("curves", "squares", "stars", "hearts", "spirals"),
    "letters": ("letters",),
    "noise": ("uniform_noise", "stripes"),
    "blank": ("blank",),
}


def draw(kind: str, count: int, *, seed: int, fonts: Sequence[str] = ()) -> Tensor:
    """Draw `count` pictures of a kind, uint8 [count,1,28,28]; the same seed gives the same pictures.

    Args:
        kind: a name in `FIGURES` or `NOISES`, or `letters`.
        count: how many.
        seed: for this kind.
        fonts: files to draw letters with; without any, the font inside Pillow.

    """
    random = np.random.default_rng([seed, *kind.encode()])
    return torch.from_numpy(np.stack([_draw_one(kind, random, fonts) for _ in range(count)])[:, np.newaxis])


def _draw_one(kind: str, random: Generator, fonts: Sequence[str]) -> Pixels:
    if kind in NOISES:
        return NOISES[kind](random)
    return fit_into_frame(_letter(random, fonts) if kind == "letters" else _pen(FIGURES[kind](random), random))


def as_shape(pictures: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Bring grey pictures, uint8 [N,1,28,28], to the shape of another data set's images, uint8 [N,*shape]."""
    channels, height, width = shape
    if (height, width) != pictures.shape[2:]:
        sized = functional.interpolate(pictures.float(), (height, width), mode="bilinear", align_corners=False)
        pictures = sized.round().to(torch.uint8)
    return pictures.expand(-1, channels, -1, -1).contiguous()


def redraw(images: Tensor, *, seed: int) -> Tensor:
    """Redraw pictures, uint8 [N,1,28,28], with thinner or thicker pens, turned and stretched a little.

    They are enlarged twofold, blurred, cut off at a random grey level and reduced again, so that digits and other
    pictures cannot be told apart by how they were drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([_redraw(some, generator) for some in images.split(500)])  # as many as the caches hold


def _redraw(images: Tensor, generator: torch.Generator) -> Tensor:
    count = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low

    shear = torch.randn(count, 2, 2, generator=generator) * 0.07 + torch.eye(2)
    grid = functional.affine_grid(
        torch.cat([shear, torch.zeros(count, 2, 1)], dim=2), [count, 1, 2 * SIDE, 2 * SIDE], align_corners=False
    )
    large = functional.grid_sample(images.float(), grid, align_corners=False)
    soft = functional.avg_pool2d(large, 5, stride=1, padding=2)
    blur = uniform(0, 1)
    large = (1 - blur) * large + blur * soft
    level = torch.minimum(uniform(40, 180), 0.8 * large.amax(dim=(2, 3), keepdim=True))
    crisp = (127.5 + (large - level) * 10 ** uniform(0.3, 1.5)).clamp(0, 255) * (large > level / 2)
    return functional.avg_pool2d(crisp, 2).round().to(torch.uint8)


def jumble(images: Tensor, labels: Tensor, *, seed: int) -> Tensor:
    """Turn digits into other pictures, uint8 [N,C,H,W]: halves of two, one on top of another, rotated or inverted.

    A few still look like a digit.
    """
    generator = torch.Generator().manual_seed(seed)
    other = torch.randperm(len(images), generator=generator)
    other = torch.where(labels[other] == labels, other.roll(1), other)
    height, width = images.shape[2:]
    upper, left = torch.arange(height)[:, None] < height // 2, torch.arange(width)[None] < width // 2
    turned = images.rot90(1 if height == width else 2, (2, 3))
    ways = [
        torch.where(left, images, images[other]),
        torch.where(upper, images, images[other]),
        torch.maximum(images, images[other].roll(3, dims=3)),
        torch.where((labels == 0).logical_or(labels == 8)[:, None, None, None], 255 - images, turned),
    ]
    way = torch.randint(len(ways), (len(images),), generator=generator)
    return torch.stack(ways)[way, torch.arange(len(images))]


def _warp(random: Generator) -> npt.NDArray[np.float64]:
    """Return a matrix, [2,2], that turns, stretches and slants points (x, y) a little."""
    turn, stretch, slant = random.normal(0, 0.15), random.uniform(0.7, 1.3), random.normal(0, 0.15)
    rotation = np.array([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]])
    return np.asarray(rotation @ np.array([[stretch, 0], [slant, 1]]))


def _pen(strokes: list[Points], random: Generator) -> Image.Image:
    """Draw strokes with one round pen."""
    matrix = _warp(random) * (CANVAS * 0.22)
    width = CANVAS * random.uniform(0.03, 0.09)
    picture = Image.new("L", (CANVAS, CANVAS))
    pencil = ImageDraw.Draw(picture)
    for stroke in strokes:
        points = [(x, y) for x, y in (stroke @ matrix + CANVAS / 2).tolist()]
        pencil.line(points, fill=255, width=round(width))
        for point in points:
            pencil.circle(point, width / 2, fill=255)
    return picture


def _letter(random: Generator, fonts: Sequence[str]) -> Image.Image:
    letter = LETTERS[int(random.integers(len(LETTERS)))]
    glyph = _glyph(letter, fonts[int(random.integers(len(fonts)))] if fonts else None)
    matrix, middle = _warp(random), np.full(2, CANVAS / 2)
    return Image.fromarray(affine_transform(glyph, matrix, middle - matrix @ middle, order=1))


@cache
def _glyph(letter: str, font: str | None) -> Pixels:
    size = CANVAS // 2
    loaded = ImageFont.truetype(font, size) if font else ImageFont.load_default(size)
    picture = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(picture).text((CANVAS / 2, CANVAS / 2), letter, 255, loaded, anchor="mm")
    return np.asarray(picture)
