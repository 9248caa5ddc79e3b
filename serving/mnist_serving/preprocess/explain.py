"""What `canonicalize` sees in a picture, stage by stage, on one sheet. Needs Pillow, the extra `images`."""

import contextlib

import numpy as np
from PIL import Image, ImageDraw

from .background import QUARTERS
from .canonicalize import PictureError, canonicalize, check, coarse_copy
from .lines import straight_lines, without
from .locate import find_ink, smooth_page
from .ndimage import Grey, box

TILE, CAPTION = 224, 16  # pixels a side of each stage's picture; the height of the line above it


def stages(grey: Grey) -> dict[str, Grey]:
    """Return the stages by name, uint8 of any size: as far as they go where the picture is refused.

    Raises:
        PictureError: it is none, or so long that nothing can be looked for.

    """
    check(grey)
    coarse = coarse_copy(grey)
    view = smooth_page(coarse)
    found = find_ink(coarse)
    above, ink = next((above, ink) for sign, above, ink in view.inks if sign == found.sign)
    shown = {
        "grey": grey,
        "page removed": np.clip(above // QUARTERS, 0, 255).astype(np.uint8),
        "lines removed": without(ink, straight_lines(ink)).astype(np.uint8) * 255,
        "the digit": found.mask.astype(np.uint8) * 255,
    }
    if found.mask.any():
        shown["cut out"] = coarse[box(found.mask).scaled(1)]
    with contextlib.suppress(PictureError):
        shown["28x28"] = canonicalize(grey)
    return shown


def sheet(grey: Grey, answer: str) -> Image.Image:
    """Return the stages side by side, under the answer."""
    shown = stages(grey)
    picture = Image.new("L", (TILE * len(shown), TILE + 2 * CAPTION), 128)
    draw = ImageDraw.Draw(picture)
    draw.text((2, 1), answer, fill=255)
    for place, (name, levels) in enumerate(shown.items()):
        tile = Image.fromarray(levels)
        share = (TILE - 4) / max(tile.size)
        size = tuple(max(1, round(share * side)) for side in tile.size)
        picture.paste(tile.resize((size[0], size[1]), Image.Resampling.NEAREST), (TILE * place + 2, 2 * CAPTION + 2))
        draw.text((TILE * place + 2, CAPTION + 1), name, fill=255)
    return picture
