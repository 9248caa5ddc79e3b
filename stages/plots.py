"""A picture of what the model got wrong: people see at once which mistakes are forgivable."""

import io
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

COLUMNS, MOST = 20, 300  # mistakes in a row, and in the picture
SCALE = 2  # screen pixels for one of the image
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

    height, width = (SCALE * side for side in images.shape[2:])
    cell_width, cell_height = width + 2 * MARGIN, height + CAPTION + MARGIN
    rows = -(-len(shown) // COLUMNS)
    picture = Image.new(
        "L" if images.shape[1] == 1 else "RGB",
        (COLUMNS * cell_width, HEADING + max(1, rows) * cell_height),
        color="white",
    )
    draw = ImageDraw.Draw(picture)
    heading = f"{len(wrong)} of {len(labels)} test images misread, the surest mistakes first"
    heading += f" ({MOST} shown)" if len(wrong) > MOST else ""
    draw.text((MARGIN, MARGIN), heading, fill=0, font=ImageFont.load_default(16))
    caption_font = ImageFont.load_default(11)
    for place, row in enumerate(shown):
        left = place % COLUMNS * cell_width + MARGIN
        top = HEADING + place // COLUMNS * cell_height
        digit = _as_seen(images[row]).resize((width, height), Image.Resampling.NEAREST)
        picture.paste(digit, (left, top))
        draw.rectangle((left - 1, top - 1, left + width, top + height), outline="silver")
        caption = f"{names[int(labels[row])]} as {names[int(guesses[row])]}"
        draw.text((left + width / 2, top + height + 2), caption, fill=0, font=caption_font, anchor="ma")
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()


def _as_seen(image: Tensor) -> Image.Image:
    """Return a colour image [3,H,W] as it is, a grey one [1,H,W] with its ink black on white."""
    if len(image) == 1:
        return Image.fromarray(255 - image[0].numpy())
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy(), "RGB")
