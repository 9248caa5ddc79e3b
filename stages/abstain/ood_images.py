"""Pictures without a digit, or with several, drawn by code: letters, signs, shapes, photographs, numbers, noise.

Pages are read as people's pictures are; noise and blank images go to the model as they are, as raw pixels may.
`TRAINED` are the kinds that the detector learns from, `REPORTED` those that it is evaluated on: no kind of shape, no
font and no photograph is in both.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import distribution
from importlib.resources import files
from math import exp

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from stages.abstain import strokes
from stages.data import DatasetInfo, Shape
from stages.drawn.digits import write
from stages.drawn.pages import UNIT, Draw, Pixels, Points, draw_images, draw_strokes, draw_text, read_pages

# Without letters that some hands and fonts draw like digits.
LETTERS = "ACEFGHJKMNPQRTUVWXYacdefhjkmnprtuvwxy"
GREEK = "αγεζηθκλμνξπρτυφχψωΓΔΘΛΞΠΣΦΨΩ"
CYRILLIC = "ДЖИЛУФЦШЩЪЫЭЮЯвдежийклмнптфцшщъыэюя"
DEVANAGARI = "कखगघचछजझञतथदधनपफबभमयरलवशषसह"
SIGNS = "+-=[]{}<>?!@#$%&*~^;:÷±√∞€£§"


def _font(package: str, name: str) -> str:
    return str(files(package) / "files" / name)


ROBOTO = _font("font_roboto", "Roboto-Light.ttf")
CAVEAT = _font("fontpkg_caveat", "Caveat[wght].ttf")
KALAM = _font("fontpkg_kalam", "Kalam-Regular.ttf")
LEARNED_FONTS = (
    *(ROBOTO, CAVEAT, KALAM),
    _font("fontpkg_indie_flower", "IndieFlower-Regular.ttf"),
    _font("fontpkg_permanent_marker", "PermanentMarker-Regular.ttf"),
    _font("fontpkg_shadows_into_light", "ShadowsIntoLight.ttf"),
)
MANROPE = _font("font_manrope", "Manrope-Regular.ttf")
UNSEEN_FONTS = (MANROPE, _font("font_amatic_sc", "AmaticSC-Regular.ttf"), _font("font_caladea", "Caladea-Regular.ttf"))


def character(letters: str, fonts: Sequence[str], random: Generator) -> Pixels:
    """Draw one of some letters in one of some fonts."""
    return draw_text(random.choice([*letters]), random.choice(fonts), random)


def word(fonts: Sequence[str], random: Generator) -> Pixels:
    """Draw two to four letters in one of some fonts."""
    letters = "".join(random.choice([*LETTERS], random.integers(2, 5)))
    return draw_text(letters, random.choice(fonts), random)


def figure(draw: Callable[[Generator], list[Points]], random: Generator) -> Pixels:
    """Draw a figure of `strokes.py` with a pen."""
    return draw_strokes([UNIT / 2 * (stroke + 1) for stroke in draw(random)], random)


def number(random: Generator) -> Pixels:
    """Draw two or three digits side by side, some of which touch."""
    placed: list[Points] = []
    right = 0.0
    for digit in random.integers(10, size=random.choice([2, 2, 3])).tolist():
        written = write(digit, random)
        shift = right + random.uniform(-12, 16) - min(stroke[:, 0].min() for stroke in written)
        placed += [stroke + np.array([shift, random.normal(0, 5)]) for stroke in written]
        right = max(stroke[:, 0].max() for stroke in placed)
    return draw_strokes(placed, random)


def photograph(name: str, random: Generator) -> Pixels:
    """Cut a square out of one of scikit-learn's photographs, mirrored at random."""
    photo = _photograph(name)
    side = min(int(exp(random.uniform(4, 6))), *photo.shape)
    top, left = (int(random.integers(length - side + 1)) for length in photo.shape)
    return np.ascontiguousarray(photo[top : top + side, left : left + side][:, :: random.choice([-1, 1])])


@cache
def _photograph(name: str) -> Pixels:
    # not sklearn.datasets.load_sample_image: importing it takes half a second
    path = distribution("scikit-learn").locate_file(f"sklearn/datasets/images/{name}")
    return np.asarray(Image.open(str(path)).convert("L"))


def blots(random: Generator) -> Pixels:
    """Spill one to four filled polygons on a page."""
    side = 160
    page = Image.new("L", (side, side), int(random.integers(180, 256)))
    pen = ImageDraw.Draw(page)
    for _ in range(random.integers(1, 5)):
        corners = random.normal(side / 2, side / 8, 2) + random.normal(0, side / 7, (random.integers(3, 9), 2))
        pen.polygon([*map(tuple, corners.tolist())], fill=int(random.integers(120)))
    return np.asarray(page.filter(ImageFilter.GaussianBlur(random.uniform(0, 4))))


def ruling(random: Generator) -> Pixels:
    """Draw empty lines of paper and of forms: one or two level lines, a crossing, a frame, a divided frame."""
    right, bottom = random.uniform(30, 120, 2)
    x, y, lower = random.uniform(0.1, 0.9, 3) * [right, bottom, bottom]
    across, below = ([(0, level), (right, level)] for level in (y, lower))
    down, frame = [(x, 0), (x, bottom)], [(0, 0), (right, 0), (right, bottom), (0, bottom), (0, 0)]
    kinds = ([across], [across, below], [across, down], [frame], [frame, across])
    return draw_strokes([np.array(stroke) for stroke in kinds[random.integers(len(kinds))]], random)


TRAINED: dict[str, Draw] = {
    "letters": partial(character, LETTERS, LEARNED_FONTS),
    "greek": partial(character, GREEK, (ROBOTO,)),
    "cyrillic": partial(character, CYRILLIC, (ROBOTO, CAVEAT)),
    "devanagari": partial(character, DEVANAGARI, (KALAM,)),
    "signs": partial(character, SIGNS, (ROBOTO, KALAM)),
    "words": partial(word, LEARNED_FONTS),
    "numbers": number,
    "photographs": partial(photograph, "china.jpg"),
    "blots": blots,
    "ruling": ruling,
    "beziers": partial(figure, strokes.beziers),
    "compositions": partial(figure, strokes.compositions),
    "triangles": partial(figure, strokes.triangles),
    "polygons": partial(figure, strokes.polygons),
    "arrows": partial(figure, strokes.arrows),
    "crossed_rings": partial(figure, strokes.crossed_rings),
}
SHAPES = (strokes.curves, strokes.squares, strokes.stars, strokes.hearts, strokes.spirals)
REPORTED: dict[str, tuple[Draw, ...]] = {
    "letters": (partial(character, LETTERS, UNSEEN_FONTS),),
    "greek": (partial(character, GREEK, (MANROPE,)),),
    "words": (partial(word, UNSEEN_FONTS),),
    "scribbles": (partial(figure, strokes.scribbles),),
    "shapes": tuple(partial(figure, shape) for shape in SHAPES),
    "photographs": (partial(photograph, "flower.jpg"),),
}
TRAINED_NOISE = (strokes.grains, strokes.specks)
REPORTED_NOISE = {"noise": (strokes.uniform_noise, strokes.stripes), "blank": (strokes.blank,)}


def draw_trained(count: int, info: DatasetInfo, *, seed: int) -> Tensor:
    """Return what a model sees of `count` pictures of each kind that the detector learns from, uint8 [N,C,H,W]."""
    random = np.random.default_rng(seed)
    kinds = tqdm(TRAINED.values(), "drawing pictures", leave=False, disable=None)
    pages = [draw_images(draw, count, info, random) for draw in kinds]
    return torch.cat([*pages, *(draw_noise(draw, count, info.shape, random) for draw in TRAINED_NOISE)])


def refused_shares(
    refuses: Callable[[Tensor], Tensor], count: int, info: DatasetInfo, *, seed: int
) -> dict[str, float]:
    """Return, by group, the share of pictures that are refused: those that cannot be read, and those not answered.

    Args:
        refuses: which of some images, uint8 [N,C,H,W], the model abstains from, bool [N].
        count: pictures of a group.
        info: the data set.
        seed: the same seed gives the same pictures.

    """
    random = np.random.default_rng(seed)
    shares = {}
    for group, kinds in tqdm(REPORTED.items(), "drawing pictures", leave=False, disable=None):
        images = read_pages((draw(random) for draw in (kinds * count)[:count]), info)
        answered = int((~refuses(images)).sum()) if len(images) else 0
        shares[group] = 1 - answered / count
    for group, kinds in REPORTED_NOISE.items():
        noise = torch.cat([draw_noise(draw, -(-count // len(kinds)), info.shape, random) for draw in kinds])
        shares[group] = refuses(noise).double().mean().item()
    return shares


def draw_noise(draw: Draw, count: int, shape: Shape, random: Generator) -> Tensor:
    """Return images without any drawing, of a data set's shape, uint8 [count,*shape]."""
    images = torch.from_numpy(np.stack([draw(random) for _ in range(count)])[:, np.newaxis])
    channels, height, width = shape
    if (height, width) != images.shape[2:]:
        sized = functional.interpolate(images.float(), (height, width), mode="bilinear", align_corners=False)
        images = sized.round().to(torch.uint8)
    return images.expand(-1, channels, -1, -1)
