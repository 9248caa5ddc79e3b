"""Pictures of what is no digit, drawn by code: uint8 [N,1,28,28], 0 = background, 255 = ink.

The model's readers send it letters, scribbles and doodles too. `TRAINED` are the kinds that the gate
learns from, `REPORTED` those that it is judged by: no kind, and no font, is in both.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import cos, pi, sin

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

Points = npt.NDArray[np.float64]  # a stroke, [n,2], x and y in about -1 to 1
Pixels = npt.NDArray[np.uint8]

SIDE, BOX = 28, 20  # of MNIST's pictures, and of the ink in them
CANVAS = 96  # pixels a side to draw on
# Without B D G I L O Q S Z and b g i l o q s z, which some hands and fonts draw like digits.
LETTERS = "ACEFHJKMNPRTUVWXYacdefhjkmnprtuvwxy"


def draw(kind: str, count: int, *, seed: int, fonts: Sequence[str] = ()) -> Tensor:
    """Draw `count` pictures of a kind, uint8 [count,1,28,28]; the same seed gives the same pictures.

    Args:
        kind: a name in `FIGURES` or `NOISES`, or `letters`.
        count: how many.
        seed: for this kind.
        fonts: files to draw letters with; without any, the font inside Pillow.

    """
    random = np.random.default_rng([seed, *kind.encode()])
    pictures = np.empty((count, 1, SIDE, SIDE), np.uint8)
    for row in range(count):
        if kind in NOISES:
            pictures[row, 0] = NOISES[kind](random)
        else:
            picture = _letter(random, fonts) if kind == "letters" else _pen(FIGURES[kind](random), random)
            pictures[row, 0] = fit(picture)
    return torch.from_numpy(pictures)


def as_shape(pictures: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Bring grey pictures, uint8 [N,1,28,28], to the shape of another data set's images, uint8 [N,*shape]."""
    channels, height, width = shape
    if (height, width) != pictures.shape[2:]:
        sized = functional.interpolate(pictures.float(), (height, width), mode="bilinear", align_corners=False)
        pictures = sized.round().to(torch.uint8)
    return pictures.expand(-1, channels, -1, -1).contiguous()


def fit(picture: Image.Image) -> Pixels:
    """Fit the ink into 20x20, keeping its proportions, its centre of mass in the middle of 28x28."""
    ink = picture.crop(picture.getbbox())
    scale = BOX / max(ink.size)
    width, height = (max(1, round(side * scale)) for side in ink.size)
    small = np.asarray(ink.resize((width, height), Image.Resampling.BILINEAR))
    rows, columns = small.sum(axis=1, dtype=np.int64), small.sum(axis=0, dtype=np.int64)
    top = _start(rows, height)
    left = _start(columns, width)
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + height, left : left + width] = small
    return image


def _start(mass: npt.NDArray[np.int64], length: int) -> int:
    """Where to begin so that the centre of mass comes to the middle, as far as there is room."""
    centre = float(mass @ (np.arange(length) + 0.5)) / max(1, int(mass.sum()))
    return min(max(round(SIDE / 2 - centre), 0), SIDE - length)


def redraw(images: Tensor, *, seed: int) -> Tensor:
    """Draw pictures again, uint8 [N,1,28,28], with thinner or thicker pens, a little turned and stretched.

    Enlarged twofold, blurred, cut off at a random grey level, and made small again: digits and
    non-digits that went through it cannot be told apart by how they were drawn.
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
    """Make of digits what is none, uint8 [N,C,H,W]: halves of two, two laid over each other, or turned.

    A few still look like a digit; what learns from them allows for it.
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


def _pen(strokes: list[Points], random: Generator) -> Image.Image:
    """Draw strokes with one round pen, turned and stretched a little."""
    turn, stretch, slant = random.normal(0, 0.15), random.uniform(0.7, 1.3), random.normal(0, 0.15)
    matrix = np.array([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]]) @ np.array([[stretch, 0], [slant, 1]])
    width = CANVAS * random.uniform(0.03, 0.09)
    picture = Image.new("L", (CANVAS, CANVAS))
    pencil = ImageDraw.Draw(picture)
    for stroke in strokes:
        points = stroke @ matrix * (CANVAS * 0.22) + CANVAS / 2
        pencil.line([*map(tuple, points.tolist())], fill=255, width=round(width))
        for x, y in points.tolist():
            pencil.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return picture


def _letter(random: Generator, fonts: Sequence[str]) -> Image.Image:
    letter = LETTERS[int(random.integers(len(LETTERS)))]
    glyph = _glyph(letter, fonts[int(random.integers(len(fonts)))] if fonts else None)
    turn, stretch, slant = random.normal(0, 0.1), random.uniform(0.8, 1.25), random.normal(0, 0.12)
    across, along = cos(turn) * stretch, sin(turn)
    middle = CANVAS / 2
    matrix = (
        across,
        along + slant,
        middle * (1 - across - along - slant),
        -along,
        cos(turn),
        middle * (1 + along - cos(turn)),
    )
    return glyph.transform(glyph.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


@cache
def _glyph(letter: str, font: str | None) -> Image.Image:
    size = CANVAS // 2
    loaded = ImageFont.truetype(font, size) if font else ImageFont.load_default(size)
    picture = Image.new("L", (CANVAS, CANVAS))
    ImageDraw.Draw(picture).text((CANVAS / 2, CANVAS / 2), letter, 255, loaded, anchor="mm")
    return picture


def _ring(turns: float = 1, start: float = 0, points: int = 24) -> Points:
    angle = start + np.linspace(0, 2 * pi * turns, points)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _closed(corners: Points) -> Points:
    return np.concatenate([corners, corners[:1]])


def _beziers(random: Generator) -> list[Points]:
    """Two to five quadratic curves, joined or apart."""
    time = np.linspace(0, 1, 9)[:, None]
    strokes, end = [], random.uniform(-1, 1, 2)
    for _ in range(random.integers(2, 6)):
        start = end if random.random() < 0.6 else random.uniform(-1, 1, 2)
        middle, end = random.uniform(-1.3, 1.3, 2), random.uniform(-1, 1, 2)
        strokes.append((1 - time) ** 2 * start + 2 * time * (1 - time) * middle + time**2 * end)
    return strokes


def _compositions(random: Generator) -> list[Points]:
    """Two or three of: a segment, an arc, a ring, a polygon of uneven sides."""
    strokes = []
    for number in range(random.integers(2, 4)):
        size = random.uniform(0.4, 1) * random.uniform(0.5, 1, 2)
        shape = random.integers(4)
        if shape == 0:
            stroke = random.uniform(-1, 1, (2, 2))
        elif shape == 1:
            stroke = _ring(random.uniform(0.25, 0.85), random.uniform(0, 2 * pi), 16) * size
        elif shape == 2:
            stroke = _ring() * size
        else:
            stroke = _closed(_ring(1, random.uniform(0, 2 * pi), int(random.integers(4, 8)))[:-1] * size)
        strokes.append(stroke + random.uniform(-0.6, 0.6, 2) * (number > 0))
    return strokes


def _triangles(random: Generator) -> list[Points]:
    return [_ring(1, random.uniform(0, 2 * pi), 4)]


def _crossed_rings(random: Generator) -> list[Points]:
    angles = random.uniform(0, pi) + np.arange(random.integers(1, 3)) * pi / 2
    return [_ring(), *(np.array([[cos(a), sin(a)], [-cos(a), -sin(a)]]) for a in angles)]


def _scribbles(random: Generator) -> list[Points]:
    return [random.uniform(-1, 1, (random.integers(4, 10), 2))]


def _curves(random: Generator) -> list[Points]:
    """Close a radius that swings around a circle, by 0.3 or more, so that it is no 0."""
    angle = np.linspace(0, 2 * pi, 40)
    radius = 1 + 0.3 * np.cos(random.integers(3, 6) * angle + random.uniform(0, 2 * pi))
    radius += sum(random.uniform(0, 0.15) * np.cos(wave * angle + random.uniform(0, 2 * pi)) for wave in (3, 4, 5))
    return [_ring(points=40) * radius[:, None] / 1.4]


def _squares(random: Generator) -> list[Points]:
    return [_ring(1, random.uniform(0, 2 * pi), 5)]


def _stars(random: Generator) -> list[Points]:
    tips = int(random.integers(4, 8))
    radius = np.where(np.arange(2 * tips + 1) % 2, random.uniform(0.3, 0.55), 1)
    return [_ring(1, random.uniform(0, 2 * pi), 2 * tips + 1) * radius[:, None]]


def _hearts(_: Generator) -> list[Points]:
    angle = np.linspace(0, 2 * pi, 40)
    up = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return [np.stack([16 * np.sin(angle) ** 3, -up], axis=1) / 17]


def _spirals(random: Generator) -> list[Points]:
    turns = random.uniform(2, 3.5)
    return [_ring(turns * random.choice([-1, 1]), random.uniform(0, 2 * pi), 60) * np.linspace(0, 1, 60)[:, None]]


def _blank(random: Generator) -> Pixels:
    """A page of one grey, black as a rule."""
    return np.full((SIDE, SIDE), random.integers(256) if random.random() < 0.3 else 0, np.uint8)


def _grains(random: Generator) -> Pixels:
    """Normal noise of any strength about any grey, its grains one to four pixels large."""
    size = int(random.integers(1, 5))
    cells = random.normal(random.uniform(0, 255), 10 ** random.uniform(0.5, 2.3), (SIDE // size + 1,) * 2)
    return cells.clip(0, 255).astype(np.uint8).repeat(size, 0).repeat(size, 1)[:SIDE, :SIDE]


def _specks(random: Generator) -> Pixels:
    """White pixels on black, from a few to nearly all."""
    density = random.choice([random.uniform(0, 1), 10 ** random.uniform(-3, -0.7)])
    return np.where(random.random((SIDE, SIDE)) < density, 255, 0).astype(np.uint8)


def _uniform_noise(random: Generator) -> Pixels:
    low, high = np.sort(random.integers(0, 256, 2))
    return random.integers(low, high + 1, (SIDE, SIDE)).astype(np.uint8)


def _stripes(random: Generator) -> Pixels:
    turn, period = random.uniform(0, pi), random.uniform(2, 14)
    row, column = np.mgrid[:SIDE, :SIDE]
    wave = np.sin(2 * pi * (row * sin(turn) + column * cos(turn)) / period + random.uniform(0, 2 * pi))
    return np.asarray(127.5 + 127.5 * wave, dtype=np.uint8)


FIGURES: dict[str, Callable[[Generator], list[Points]]] = {
    "beziers": _beziers,
    "compositions": _compositions,
    "triangles": _triangles,
    "crossed rings": _crossed_rings,
    "scribbles": _scribbles,
    "curves": _curves,
    "squares": _squares,
    "stars": _stars,
    "hearts": _hearts,
    "spirals": _spirals,
}
NOISES: dict[str, Callable[[Generator], Pixels]] = {
    "blank": _blank,
    "grains": _grains,
    "specks": _specks,
    "uniform noise": _uniform_noise,
    "stripes": _stripes,
}
TRAINED = ("beziers", "compositions", "triangles", "crossed rings", "grains", "specks", "letters")
REPORTED = {
    "scribbles": ("scribbles",),
    "shapes": ("curves", "squares", "stars", "hearts", "spirals"),
    "letters": ("letters",),
    "noise": ("uniform noise", "stripes"),
    "blank": ("blank",),
}
