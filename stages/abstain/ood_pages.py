"""Pages without a digit, or with several: letters, words, signs, shapes, photographs, numbers.

`TRAINED` are the kinds that the detector learns from, `REPORTED` those that it is judged by. No font and no photograph
is in both, and no kind of shape.
"""

from collections.abc import Sequence
from functools import cache, partial
from math import exp
from pathlib import Path

import font_amatic_sc
import font_caladea
import font_manrope
import font_roboto
import fontpkg_caveat
import fontpkg_indie_flower
import fontpkg_kalam
import fontpkg_permanent_marker
import fontpkg_shadows_into_light
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter
from sklearn.datasets import load_sample_image

from stages.abstain.strokes import FIGURES
from stages.datasets.drawn_digits import write
from stages.pages import UNIT, Page, Pixels, Points, draw_strokes, draw_text

# Without those that some hands and fonts draw like digits.
LETTERS = "ACEFGHJKMNPQRTUVWXYacdefhjkmnprtuvwxy"
GREEK = "αγεζηθκλμνξπρτυφχψωΓΔΘΛΞΠΣΦΨΩ"
CYRILLIC = "ДЖИЛУФЦШЩЪЫЭЮЯвдежийклмнптфцшщъыэюя"
DEVANAGARI = "कखगघचछजझञतथदधनपफबभमयरलवशषसह"
SIGNS = "+-=[]{}<>?!@#$%&*~^;:×÷±√∞€£§"

KALAM, CAVEAT, ROBOTO = (
    str(Path(package.__file__).parent / "files" / name)
    for package, name in (
        (fontpkg_kalam, "Kalam-Regular.ttf"),
        (fontpkg_caveat, "Caveat[wght].ttf"),
        (font_roboto, "Roboto-Light.ttf"),
    )
)
HANDS = (
    KALAM,
    CAVEAT,
    ROBOTO,
    str(Path(fontpkg_indie_flower.__file__).parent / "files/IndieFlower-Regular.ttf"),
    str(Path(fontpkg_permanent_marker.__file__).parent / "files/PermanentMarker-Regular.ttf"),
    str(Path(fontpkg_shadows_into_light.__file__).parent / "files/ShadowsIntoLight.ttf"),
    None,  # the font inside Pillow
)
UNSEEN = (font_amatic_sc.AmaticSC, font_caladea.Caladea, font_manrope.Manrope)


def character(letters: str, fonts: Sequence[str | None], random: Generator) -> Pixels:
    """Draw one of `letters` with one of the fonts."""
    return draw_text(letters[random.integers(len(letters))], fonts[random.integers(len(fonts))], random)


def word(fonts: Sequence[str | None], random: Generator) -> Pixels:
    """Draw two to four letters, with one of the fonts."""
    letters = random.choice([*LETTERS], random.integers(2, 5))
    return draw_text("".join(letters), fonts[random.integers(len(fonts))], random)


def figure(name: str, random: Generator) -> Pixels:
    """Draw a figure of `strokes.py` with a pen."""
    return draw_strokes([UNIT / 2 * (stroke + 1) for stroke in FIGURES[name](random)], random)


def number(random: Generator) -> Pixels:
    """Draw two or three digits side by side, some of which touch."""
    strokes: list[Points] = []
    right = 0.0
    for digit in random.integers(0, 10, random.choice([2, 2, 3])).tolist():
        written = write(digit, random)
        left = min(stroke[:, 0].min() for stroke in written)
        shift = right + random.uniform(-12, 16) - left
        strokes += [stroke + [shift, random.normal(0, 5)] for stroke in written]
        right = max(stroke[:, 0].max() for stroke in strokes)
    return draw_strokes(strokes, random)


def photograph(name: str, random: Generator) -> Pixels:
    """Cut a piece out of one of scikit-learn's photographs, mirrored at random."""
    photo = _photograph(name)
    side = min(int(exp(random.uniform(4, 6))), *photo.shape)
    top, left = (int(random.integers(0, length - side + 1)) for length in photo.shape)
    piece = photo[top : top + side, left : left + side]
    return np.ascontiguousarray(piece[:, :: random.choice([-1, 1])])


@cache
def _photograph(name: str) -> Pixels:
    return np.asarray(Image.fromarray(load_sample_image(name)).convert("L"))


def blots(random: Generator) -> Pixels:
    """Spill one to four filled polygons of any grey on a page."""
    side = 160
    picture = Image.new("L", (side, side), int(random.integers(180, 256)))
    pen = ImageDraw.Draw(picture)
    for _ in range(random.integers(1, 5)):
        corners = random.normal(side / 2, side / 8, 2) + random.normal(0, side / 7, (random.integers(3, 9), 2))
        pen.polygon([*map(tuple, corners.tolist())], fill=int(random.integers(0, 120)))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 4))))


def ruling(random: Generator) -> Pixels:
    """Draw lines of paper and of forms: level lines, corners, crossings, a frame, with nothing in it."""
    kind = random.integers(5)
    x, y = random.uniform(30, 120, 2)
    corner = random.uniform(0.1, 0.9) * x, random.uniform(0.1, 0.9) * y
    across, down = np.array([[0, corner[1]], [x, corner[1]]]), np.array([[corner[0], 0], [corner[0], y]])
    lower = across + [0, random.uniform(0.15, 0.6) * y]
    frame = np.array([[0, 0], [x, 0], [x, y], [0, y], [0, 0]])
    strokes = ([across], [across, lower], [across, down], [frame], [frame, across])[kind]
    return draw_strokes([np.asarray(stroke, np.float64) for stroke in strokes], random)


TRAINED: dict[str, Page] = {
    "letters": partial(character, LETTERS, HANDS),
    "greek": partial(character, GREEK, (ROBOTO,)),
    "cyrillic": partial(character, CYRILLIC, (ROBOTO, CAVEAT)),
    "devanagari": partial(character, DEVANAGARI, (KALAM,)),
    "signs": partial(character, SIGNS, (ROBOTO, KALAM)),
    "words": partial(word, HANDS),
    "numbers": number,
    "beziers": partial(figure, "beziers"),
    "compositions": partial(figure, "compositions"),
    "triangles": partial(figure, "triangles"),
    "polygons": partial(figure, "polygons"),
    "arrows": partial(figure, "arrows"),
    "crossed rings": partial(figure, "crossed rings"),
    "photographs": partial(photograph, "china.jpg"),
    "blots": blots,
    "ruling": ruling,
}
REPORTED: dict[str, tuple[Page, ...]] = {
    "scribbles": (partial(figure, "scribbles"),),
    "shapes": tuple(partial(figure, name) for name in ("curves", "squares", "stars", "hearts", "spirals")),
    "letters": (partial(character, LETTERS, UNSEEN),),
    "greek": (partial(character, GREEK, (font_manrope.Manrope,)),),
    "words": (partial(word, UNSEEN),),
    "photographs": (partial(photograph, "flower.jpg"),),
}
