"""A picture of what the model got wrong: people see at once which mistakes are forgivable."""

import io
import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

COLUMNS, MOST = 20, 300  # mistakes in a row, and in the picture, at most
WIDEST = 2_000  # pixels of a row with more than one mistake
SCALE, LARGE = 2, 64  # screen pixels for one of an image, whose longer side is `LARGE` or less
THUMBNAIL = 96  # pixels of the longer side of what larger images become
MARGIN, CAPTION, HEADING = 6, 16, 30  # pixels


def draw_mistakes(images: Tensor, labels: Tensor, probabilities: Tensor, names: Sequence[str]) -> bytes:
    """Return a PNG of the images whose guess is wrong, each with its label and the guess.

    Args:
        images: uint8 [N,C,H,W], grey or RGB.
        labels: int64 [N].
        probabilities: float [N,classes]; the surest mistakes come first.
        names: the classes' names.

    """
    confidence, guesses = probabilities.max(dim=1)
    wrong = (guesses != labels).nonzero().flatten()
    surest_first = wrong[torch.sort(confidence[wrong], descending=True, stable=True).indices]
    shown = surest_first[:MOST].tolist()

    longer = max(images.shape[2:])
    scale = SCALE if longer <= LARGE else min(1, THUMBNAIL / longer)
    height, width = (max(1, round(scale * side)) for side in images.shape[2:])
    caption_font = ImageFont.load_default(11)
    captions = [f"{names[int(labels[row])]} as {names[int(guesses[row])]}" for row in shown]
    widest = max([width, *(math.ceil(caption_font.getlength(caption)) for caption in captions)])
    cell_width, cell_height = widest + 2 * MARGIN, height + CAPTION + MARGIN
    columns = min(COLUMNS, max(1, WIDEST // cell_width))
    rows = -(-len(shown) // columns)
    picture = Image.new(
        "L" if images.shape[1] == 1 else "RGB",
        (columns * cell_width, HEADING + max(1, rows) * cell_height),
        color="white",
    )
    draw = ImageDraw.Draw(picture)
    heading = f"{len(wrong)} of {len(labels)} test images misread, the surest mistakes first"
    heading += f" ({MOST} shown)" if len(wrong) > MOST else ""
    draw.text((MARGIN, MARGIN), heading, fill=0, font=ImageFont.load_default(16))
    for place, (row, caption) in enumerate(zip(shown, captions, strict=True)):
        left = place % columns * cell_width + (cell_width - width) // 2
        top = HEADING + place // columns * cell_height
        digit = _as_seen(images[row]).resize((width, height), Image.Resampling.BOX)
        picture.paste(digit, (left, top))
        draw.rectangle((left - 1, top - 1, left + width, top + height), outline="silver")
        draw.text((left + width / 2, top + height + 2), caption, fill=0, font=caption_font, anchor="ma")
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()


def _as_seen(image: Tensor) -> Image.Image:
    """Return a colour image [3,H,W] as it is, a grey one [1,H,W] with its ink black on white."""
    if len(image) == 1:
        return Image.fromarray(255 - image[0].numpy())
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy(), "RGB")
