"""Picture files into grey levels: PNG and JPEG, never more pixels than allowed. Needs Pillow, the extra `images`."""

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 16_000_000


def read_grey(content: bytes, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
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
        return _grey(picture)
    except Exception as error:  # as above
        msg = f"the picture is damaged: {error}"
        raise ValueError(msg) from error


def _grey(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the grey levels, uint8 [H,W], of an opened picture."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I"):  # 16-bit grey: Pillow would clip it, not scale it
        return (np.asarray(upright, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        upright = Image.alpha_composite(page, layer)
    return np.asarray(upright.convert("L"))
