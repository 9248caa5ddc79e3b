"""Picture files into pixels: PNG and JPEG, never more pixels than allowed. Needs Pillow, the extra `images`."""

import io
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from .metadata import Contract
from .preprocess.canonicalize import MAX_PIXELS, canonicalize

FORMATS = ("PNG", "JPEG")

Image.preinit()  # loads the decoders, which the first picture would otherwise wait for

Pixels = npt.NDArray[np.uint8]
Mode = Literal["L", "RGB"]  # Pillow's names of grey and colour
MODES: dict[int, Mode] = {1: "L", 3: "RGB"}  # by the number of channels


def read_picture(content: bytes, contract: Contract, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return the image that a model sees of a picture file, uint8 [channels,height,width].

    For a model of centred digits that is what `canonicalize` makes of the picture; for any other the whole picture,
    grey or RGB, each side brought to the model's.

    Args:
        content: a PNG or JPEG file.
        contract: the model's.
        max_pixels: as for `read_grey`.

    Raises:
        ValueError: no PNG or JPEG, too many pixels, damaged, or no digit in it for a model of digits.

    """
    if contract.centred:
        return canonicalize(read_grey(content, max_pixels=max_pixels)).reshape(contract.image_shape)
    channels, height, width = contract.image_shape
    picture = decode(content, MODES[channels], max_pixels=max_pixels)
    return as_image(picture.resize((width, height), Image.Resampling.BILINEAR))


def as_image(picture: Image.Image) -> Pixels:
    """Return a grey or an RGB picture as uint8 [channels,height,width]."""
    pixels = np.asarray(picture)
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)


def read_grey(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a picture.

    The first frame of an animation, turned as its EXIF orientation says, what is transparent on white.

    Args:
        content: a PNG or JPEG file.
        max_pixels: the largest product of width and height; it is checked before anything is decoded.

    Returns:
        uint8 [H,W], 0 = black, 255 = white.

    Raises:
        ValueError: no PNG or JPEG, too many pixels, or damaged.

    """
    return np.asarray(decode(content, "L", max_pixels=max_pixels))


def decode(content: bytes, mode: Mode, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture as `read_grey` says, to grey or to colour; the folders that one trains on are read so, too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; ours is the stricter limit
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    except Exception as error:  # Pillow's decoders raise whatever they stumble over
        msg = "no PNG or JPEG picture"
        raise ValueError(msg) from error
    width, height = picture.size
    if width * height > max_pixels:
        msg = f"{width}x{height} pixels; at most {max_pixels:,} are taken"
        raise ValueError(msg)
    try:
        return _convert(picture, mode)
    except Exception as error:  # as above
        msg = f"the picture is damaged: {error}"
        raise ValueError(msg) from error


def _convert(picture: Image.Image, mode: Mode) -> Image.Image:
    """Return an opened picture upright, opaque, in 8 bits a channel."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I"):  # 16-bit grey: Pillow would clip it, not scale it
        levels = (np.asarray(upright, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(levels).convert(mode)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        upright = Image.alpha_composite(page, layer)
    return upright.convert(mode)
