"""Picture files into pixels, never more of them than allowed. Needs Pillow, the extra `images`.

Whatever stands beside the pixels in a file (texts, colour profiles, broken EXIF) is neither read nor a reason to refuse
it, and what Pillow warns of reaches no terminal and no log.
"""

import importlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from .metadata import Contract
from .preprocess.canonicalize import MAX_PIXELS, canonicalize
from .preprocess.ndimage import box

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
NAMES = "PNG, JPEG, WebP, GIF, BMP or TIFF"
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

DRAFT_SIDE = 1440  # a JPEG is decoded at a fraction of its size, both sides at least so long where they are
DRAFT_FACTOR = 4  # times `max_pixels` may a JPEG have: a phone's 48 megapixels
PNG_SIGNATURE, PNG_CHUNKS = b"\x89PNG\r\n\x1a\n", (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
OPAQUE, MIDDLE = 128, 127  # the level of alpha from which a pixel is seen; the one that divides dark from light
TONES = 40  # levels between the lightest and the darkest of what has more than one tone
CLEARER = 4  # times the variance of the usual grey: a colour that tells ink from page where the grey does not
LUMA = (19595, 38470, 7471)  # of 65536: Pillow's weights of red, green and blue (ITU-R 601-2)

Image.init()  # loads the decoders, which the first picture would otherwise wait for

Pixels = npt.NDArray[np.uint8]
Mode = Literal["L", "RGB"]  # Pillow's names of grey and colour
MODES: dict[int, Mode] = {1: "L", 3: "RGB"}  # by the number of channels


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


def as_image(picture: Image.Image) -> Pixels:
    """Return a grey or an RGB picture as uint8 [channels,height,width]."""
    pixels = np.asarray(picture)
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)


def read_grey(content: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a picture.

    The first frame of an animation, turned as its EXIF orientation says; `_opaque` says what becomes of transparency.

    Args:
        content: a PNG, JPEG, WebP, GIF, BMP or TIFF file, or HEIC where pillow-heif is installed.
        max_pixels: the largest product of width and height that is decoded; it is checked before. A JPEG may have
            four times as many: it is decoded at a fraction of its size.

    Returns:
        uint8 [H,W], 0 = black, 255 = white.

    Raises:
        ValueError: no such file, too many pixels, or damaged.

    """
    return np.asarray(decode(content, "L", max_pixels=max_pixels))


def decode(content: bytes, mode: Mode, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture as `read_grey` says, to grey or to colour; the folders that one trains on are read so, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = _opened(content)
        width, height = picture.size
        if picture.format == "JPEG" and width * height <= DRAFT_FACTOR * max_pixels:
            picture.draft(None, (DRAFT_SIDE, DRAFT_SIDE))
        if picture.width * picture.height > max_pixels:
            msg = f"{width}x{height} pixels; at most {max_pixels:,} are taken, {DRAFT_FACTOR * max_pixels:,} in a JPEG"
            raise ValueError(msg)
        try:
            return _convert(picture, mode)
        except Exception as error:  # Pillow's decoders raise whatever they stumble over
            msg = f"the picture is damaged: {error}"
            raise ValueError(msg) from error


def _opened(content: bytes) -> Image.Image:
    """Return the picture, not decoded yet; HEIC where pillow-heif is installed."""
    formats: tuple[str, ...] = FORMATS
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
        except ImportError as error:
            msg = "HEIC pictures need pillow-heif: pip install pillow-heif, or send a JPEG"
            raise ValueError(msg) from error
        formats = (*FORMATS, "HEIF")
    try:
        return Image.open(io.BytesIO(_without_remarks(content)), formats=formats)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    except Exception as error:
        msg = f"cannot be read as {NAMES}"
        raise ValueError(msg) from error


def _without_remarks(content: bytes) -> bytes:
    """Return a PNG with nothing but what its pixels need, and an intact orientation; any other file as it is."""
    if not content.startswith(PNG_SIGNATURE):
        return content
    return PNG_SIGNATURE + b"".join(_needed_chunks(memoryview(content)))


def _needed_chunks(content: memoryview) -> Iterator[memoryview]:
    place = len(PNG_SIGNATURE)
    while place + 8 <= len(content):
        length = struct.unpack(">I", content[place : place + 4])[0]
        end = place + length + 12
        kind = bytes(content[place + 4 : place + 8])
        intact = zlib.crc32(content[place + 4 : end - 4]) == int.from_bytes(content[end - 4 : end])
        if kind in PNG_CHUNKS or (kind == b"eXIf" and intact):
            yield content[place:end]
        place = end


def _convert(picture: Image.Image, mode: Mode) -> Image.Image:
    """Return an opened picture upright, opaque, in 8 bits a channel."""
    picture.load()
    upright = _upright(picture)
    if upright.mode[0] in "IF":  # more than 8 bits a pixel, grey
        return Image.fromarray(_eight_bits(np.asarray(upright))).convert(mode)
    if upright.has_transparency_data:
        upright = Image.fromarray(_opaque(np.asarray(upright.convert("RGBA"))))
    if mode == "RGB" or upright.mode in {"1", "L"}:
        return upright.convert(mode)
    return Image.fromarray(_grey(np.asarray(upright.convert("RGB"))))


def _upright(picture: Image.Image) -> Image.Image:
    """Return the picture turned as its EXIF says; some programs write the orientation as text."""
    try:
        exif = picture.getexif()
        if isinstance(exif.get(ExifTags.Base.Orientation), str):
            exif[ExifTags.Base.Orientation] = int(exif[ExifTags.Base.Orientation])
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 (EXIF can be wrong in any way; the pixels are sound)
        return picture


def _eight_bits(levels: npt.NDArray[np.generic]) -> Pixels:
    """Return levels of more than 8 bits by their upper 8 that are used: a 10-bit picture in 16 bits is not black."""
    whole = np.nan_to_num(levels.astype(np.float64)).clip(0, 2**31 - 1).astype(np.int64)
    return (whole >> max(int(whole.max()).bit_length() - 8, 0)).astype(np.uint8)


def _opaque(layer: Pixels) -> Pixels:
    """Return RGBA pixels as RGB, on the page that lets the ink be seen.

    What is seen, fills its box and is not of one tone is a page of its own: it is cut out. Otherwise light ink lies on
    black, and any other picture on white, as in a browser. `toGrey` of examples/web does the same.
    """
    seen = layer[..., 3] >= OPAQUE
    count = int(seen.sum())
    if count:
        part, grey = box(seen), _luma(layer)
        fills = 20 * part.shape[0] * part.shape[1] <= 21 * count < 21 * seen.size
        if fills and int(np.ptp(grey[seen])) > TONES:
            layer, seen = layer[part.scaled(1)], seen[part.scaled(1)]
    light = int(_luma(layer)[seen].sum(dtype=np.int64)) > MIDDLE * count and 2 * count < seen.size
    page = Image.new("RGBA", layer.shape[1::-1], "black" if light else "white")
    return np.asarray(Image.alpha_composite(page, Image.fromarray(layer)).convert("RGB"))


def _luma(pixels: Pixels) -> npt.NDArray[np.uint32]:
    """Return the usual grey of RGB pixels, as Pillow makes it."""
    red, green, blue = (weight * pixels[..., place].astype(np.uint32) for place, weight in enumerate(LUMA))
    return np.asarray((red + green + blue + 32768) >> 16, np.uint32)


def _grey(pixels: Pixels) -> Pixels:
    """Return RGB pixels as the usual grey, or as the colour that varies far more: yellow ink on a light blue page."""
    greys = [_luma(pixels).astype(np.uint8), *np.moveaxis(pixels, -1, 0)]
    variances = [_variance(grey) for grey in greys]
    most = variances.index(max(variances))
    return np.asarray(greys[most if variances[most] > CLEARER * variances[0] else 0])


def _variance(grey: Pixels) -> float:
    """Return the sum of the squared differences from the mean, to the same last bit as `toGrey` of examples/web."""
    count = np.bincount(grey.ravel(), minlength=256)
    level = np.arange(256)
    total = float((count * level).sum())
    return float((count * level * level).sum()) - total * total / grey.size
