"""Picture files into what a model sees of them. Needs Pillow, the extra `images`."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from . import MAX_PIXELS
from .decode import Decoded, Mode, decode, decode_placed
from .metadata import Contract
from .preprocess.canonicalize import LEAST_SIDE, canonicalize
from .preprocess.number import Candidate, Place, canonicalize_number

MODES: dict[int, Mode] = {1: "L", 3: "RGB"}  # by the number of channels

Pixels = npt.NDArray[np.uint8]


def read_picture(content: bytes, contract: Contract, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Return the image that a model sees of a picture file, uint8 [channels,height,width].

    For a model of centred digits that is what `canonicalize` makes of the picture; for any other the whole picture,
    grey or RGB, each side brought to the model's.

    Args:
        content: a PNG, JPEG, WebP, GIF, BMP or TIFF file, or HEIC where pillow-heif is installed.
        contract: the model's.
        max_pixels: as for `read_grey`.

    Raises:
        ValueError: no such file, too many pixels, damaged, or not one digit in it for a model of digits.

    """
    if contract.centred:
        return canonicalize(read_grey(content, max_pixels=max_pixels)).reshape(contract.image_shape)
    channels, height, width = contract.image_shape
    picture = decode(content, MODES[channels], max_pixels=max_pixels)
    return as_image(picture.resize((width, height), Image.Resampling.BILINEAR))


def read_number(content: bytes, contract: Contract, *, max_pixels: int = MAX_PIXELS) -> tuple[Pixels, list[Candidate]]:
    """Return what may be the digits of a number in a picture file, uint8 [N,1,28,28], and what each of them is.

    Places are in pixels of the picture that the file shows, upright.

    Args:
        content: as for `read_picture`.
        contract: the model's.
        max_pixels: as for `read_grey`.

    Raises:
        ValueError: as for `read_picture`, or the model is not one of centred digits, or there is not one number in
            the picture.

    """
    if not contract.centred:
        raise ValueError("the model does not read numbers: it was not trained on centred digits")
    decoded = _decode_page(content, max_pixels)
    images, candidates = canonicalize_number(np.asarray(decoded.picture))
    placed = [candidate._replace(place=_in_file(candidate.place, decoded)) for candidate in candidates]
    return images.reshape(-1, *contract.image_shape), placed


def _in_file(place: Place, decoded: Decoded) -> Place:
    """Return where something is in the file's picture."""
    shift = (decoded.left, decoded.top) * 2
    return Place(*(round(decoded.scale * (side + before)) for side, before in zip(place, shift, strict=True)))


def as_image(picture: Image.Image) -> Pixels:
    """Return a grey or an RGB picture as uint8 [channels,height,width]."""
    pixels = np.asarray(picture)
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)


def read_grey(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a picture of a digit, uint8 [H,W], 0 = black, 255 = white.

    Args:
        content: a PNG, JPEG, WebP, GIF, BMP or TIFF file, or HEIC where pillow-heif is installed.
        max_pixels: the largest product of width and height that is decoded; it is checked before.

    Raises:
        ValueError: no such file, too many or too few pixels, or damaged.

    """
    return np.asarray(_decode_page(content, max_pixels).picture)


def _decode_page(content: bytes, max_pixels: int) -> Decoded:
    decoded = decode_placed(content, "L", max_pixels=max_pixels, digit=True)
    width, height = decoded.picture.size
    if min(width, height) < LEAST_SIDE:
        raise ValueError(f"{width}x{height} pixels: a picture of a digit has at least {LEAST_SIDE} on each side")
    return decoded
