"""Picture files into grey or RGB, never more of them than allowed. Needs Pillow, the extra `images`.

Whatever is beside the pixels in a file (texts, colour profiles, broken EXIF) is neither read nor a reason to refuse
it, and what Pillow warns of reaches no terminal and no log. Digits and models are unknown here: the pictures of
a training folder and those that a model is asked about are read alike.
"""

import contextlib
import ctypes
import importlib
import io
import logging
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import (  # noqa: F401 (the decoders of these formats, not all of Pillow's, which take longer to load than a model)
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from . import MAX_PIXELS

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
NAMES = "PNG, JPEG, WebP, GIF, BMP or TIFF"
STARTS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8": "JPEG",
    b"RIFF": "WebP",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
TOO_LARGE = "{}at most {:,} pixels are taken: send a smaller copy"
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

ENOUGH = 1440  # pixels a side: a picture twice as large or more is worked on at a fraction of its size
SQUARE, NARROWEST = 2000, 64  # pixels: so is one of twice as large an area or more, but no side gets shorter than that
STRIP = 64  # rows of the smaller picture that are made at a time
LARGE = 16_000_000  # pixels: larger pictures are decoded one at a time
PNG_SIGNATURE, PNG_CHUNKS = b"\x89PNG\r\n\x1a\n", (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
OPAQUE, MIDDLE = 128, 127  # the level of alpha from which a pixel is seen; the one that divides dark from light
TONES = 40  # levels between the lightest and the darkest of what has more than one tone
CLEARER = 4  # times the variance of the usual grey: a colour that tells ink from page where the grey does not

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs of a file is also in the error that it raises
with contextlib.suppress(AttributeError, OSError):  # libtiff prints its errors; Pillow raises them, too
    ctypes.CDLL(importlib.import_module("PIL._imaging").__file__).TIFFSetErrorHandler(None)
_large = threading.Lock()

Pixels = npt.NDArray[np.uint8]
Mode = Literal["L", "RGB"]  # Pillow's names of grey and colour
GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # and those of 16 bits, which begin with I
TURN = Image.Transpose
TURNS = {
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
    6: TURN.ROTATE_270,
    7: TURN.TRANSVERSE,
    8: TURN.ROTATE_90,
}  # by the orientation of EXIF


class Decoded(NamedTuple):
    """A picture in grey or RGB, and where its pixels are in the file's picture."""

    picture: Image.Image
    left: int  # of what was cut out, in this picture's pixels
    top: int
    scale: float  # the file's pixels for each of this picture's


def decode(content: bytes, mode: Mode | None, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a whole picture to grey, to RGB or, with None, to what it is in the file; see `decode_placed`."""
    return decode_placed(content, mode, max_pixels=max_pixels, digit=False).picture


def decode_placed(content: bytes, mode: Mode | None, *, max_pixels: int, digit: bool) -> Decoded:
    """Decode a picture.

    The first frame of an animation, turned as its EXIF orientation says; `_opaque` says what becomes of transparency.
    A picture of twice 1,440 pixels a side or of 16 megapixels comes out at a half of its size, or a smaller part.

    Args:
        content: a PNG, JPEG, WebP, GIF, BMP or TIFF file, or HEIC where pillow-heif is installed.
        mode: grey or RGB; None for what it is in the file.
        max_pixels: the largest product of width and height that is decoded; it is checked before.
        digit: the picture shows a digit: a page of its own on a transparent ground is cut out, and colours become the
            grey that tells the ink best.

    Raises:
        ValueError: no such file, too many pixels, or damaged.

    """
    with _silence:
        picture = _opened(content, max_pixels)
        width, height = picture.size
        try:
            with _large if width * height > LARGE else contextlib.nullcontext():
                picture.draft(None, (ENOUGH, ENOUGH))  # a JPEG is decoded at a fraction of its size
                picture.load()
                small = _shrunk(picture, _factor(picture.width, picture.height))
                upright = _upright(small, picture)
                grey = picture.mode in GREY_MODES or picture.mode.startswith("I")
                pixels, left, top = _convert(upright, mode or ("L" if grey else "RGB"), digit=digit)
            return Decoded(pixels, left, top, round(width / small.width))
        except Exception as error:  # Pillow's decoders raise whatever they stumble over
            raise ValueError(f"the picture is damaged: {' '.join(str(error).split())}") from error


class _Silence:
    """Ignores warnings while any thread is inside; `warnings.catch_warnings` in several may leave them ignored."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before.enter_context(warnings.catch_warnings(action="ignore"))
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.close()


_silence = _Silence()


def _factor(width: int, height: int) -> int:
    """Return by how much a picture shrinks: to sides of `ENOUGH`, and to as few pixels where it is long and narrow."""
    shorter = min(width, height)
    return max(1, shorter // ENOUGH, min(math.isqrt(width * height) // SQUARE, shorter // NARROWEST))


def _shrunk(picture: Image.Image, factor: int) -> Image.Image:
    """Return the means of `factor` x `factor` pixels, made strip by strip: copies of a large picture take memory."""
    if factor == 1:
        return picture
    mode = "I" if picture.mode.startswith("I") else picture.mode
    if mode in {"1", "P", "PA"}:
        mode = "L" if mode == "1" else "RGBA" if picture.has_transparency_data else "RGB"
    elif picture.has_transparency_data and mode in {"L", "RGB"}:  # one colour is transparent
        mode = "RGBA"
    width, height = picture.width // factor, picture.height // factor
    small = Image.new(mode, (width, height))
    for top in range(0, height, STRIP):
        bottom = min(top + STRIP, height)
        strip = picture.crop((0, top * factor, width * factor, bottom * factor))
        small.paste(strip.convert(mode).reduce(factor), (0, top))
    return small


def _upright(pixels: Image.Image, picture: Image.Image) -> Image.Image:
    """Return pixels turned as the EXIF of their picture says; some programs write the orientation as text."""
    try:
        turn = TURNS[int(picture.getexif()[ExifTags.Base.Orientation])]
    except Exception:  # noqa: BLE001 (EXIF can be wrong in any way; the pixels are sound)
        return pixels
    return pixels.transpose(turn)


def _opened(content: bytes, max_pixels: int) -> Image.Image:
    """Return the picture, not decoded yet; HEIC where pillow-heif is installed."""
    formats: tuple[str, ...] = FORMATS
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
        except ImportError as error:
            raise ValueError("HEIC pictures need pillow-heif: pip install pillow-heif, or send a JPEG") from error
        formats = (*FORMATS, "HEIF")
    try:
        picture = Image.open(io.BytesIO(_without_remarks(content)), formats=formats)
    except Image.DecompressionBombError as error:
        raise ValueError(TOO_LARGE.format("", max_pixels)) from error
    except Exception as error:
        raise ValueError(_what_is_wrong(content)) from error
    most = min(max_pixels, LARGE) if picture.format == "WEBP" else max_pixels  # which is decoded in four copies
    if picture.width * picture.height > most:
        raise ValueError(TOO_LARGE.format(f"{picture.width}x{picture.height} pixels: ", most))
    return picture


def _what_is_wrong(content: bytes) -> str:
    """Return why a file cannot be opened."""
    if not content:
        return "the file is empty"
    kind = next((name for start, name in STARTS.items() if content.startswith(start)), None)
    if kind:
        return f"the {kind} file is damaged, cut short or of an unusual kind: send it again, or as an ordinary PNG"
    return f"cannot be read as {NAMES}: it is another kind of file, or damaged"


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


def _convert(picture: Image.Image, mode: Mode, *, digit: bool) -> tuple[Image.Image, int, int]:
    """Return a picture opaque, in 8 bits a channel, and the left and the top of what was cut out."""
    if picture.mode[0] in "IF":  # more than 8 bits a pixel, grey
        return Image.fromarray(_eight_bits(np.asarray(picture))).convert(mode), 0, 0
    left = top = 0
    if picture.has_transparency_data:
        picture, left, top = _opaque(picture.convert("RGBA"), digit=digit)
    if mode == "L" and digit and picture.mode not in {"1", "L"}:
        return _grey(picture.convert("RGB")), left, top
    return picture.convert(mode), left, top


def _eight_bits(levels: npt.NDArray[np.generic]) -> Pixels:
    """Return levels of more than 8 bits as 8.

    Whole numbers keep the upper 8 bits that are used: a 10-bit picture in 16 bits is not black. The highest fraction
    becomes 255, and 0 or the lowest below it becomes 0.
    """
    finite = np.nan_to_num(levels.astype(np.float64), posinf=0, neginf=0)
    finite -= min(0.0, float(finite.min()))
    highest = float(finite.max())
    if levels.dtype.kind == "f":
        return np.rint(finite * (255 / (highest or 1))).astype(np.uint8)
    return (finite.astype(np.int64) >> max(int(highest).bit_length() - 8, 0)).astype(np.uint8)


def _opaque(layer: Image.Image, *, digit: bool) -> tuple[Image.Image, int, int]:
    """Return an RGBA picture as RGB, on the page that lets the ink be seen, and the left and the top of the page.

    Light ink lies on black, and any other picture on white, as in a browser. For a `digit`, what is seen, fills its box
    and is not of one tone is a page of its own: it is cut out. `toGrey` of examples/web does the same.
    """
    seen = layer.getchannel("A").point([0] * OPAQUE + [255] * (256 - OPAQUE))
    tones = layer.convert("L").histogram(seen)
    count, part = sum(tones), seen.getbbox() or (0, 0, *layer.size)
    area = (part[2] - part[0]) * (part[3] - part[1])
    levels = [level for level, number in enumerate(tones) if number] or [0]
    if digit and 20 * area <= 21 * count < 21 * layer.width * layer.height and levels[-1] - levels[0] > TONES:
        layer = layer.crop(part)
    else:
        part = (0, 0, *layer.size)
    total = sum(level * number for level, number in enumerate(tones))
    light = total > MIDDLE * count and 2 * count < layer.width * layer.height
    page = Image.new("RGBA", layer.size, "black" if light else "white")
    return Image.alpha_composite(page, layer).convert("RGB"), part[0], part[1]


def _grey(picture: Image.Image) -> Image.Image:
    """Return RGB as the usual grey, or as the colour that varies far more: yellow ink on a light blue page."""
    greys = [picture.convert("L"), *picture.split()]
    variances = [_variance(grey.histogram()) for grey in greys]
    most = variances.index(max(variances))
    return greys[most if variances[most] > CLEARER * variances[0] else 0]


def _variance(counts: list[int]) -> float:
    """Return the sum of the squared differences from the mean, of how many pixels there are of each level.

    `toGrey` of examples/web gets the same, to the last bit.
    """
    total = float(sum(level * count for level, count in enumerate(counts)))
    return float(sum(level * level * count for level, count in enumerate(counts))) - total * total / sum(counts)
