"""Pixels from JSON: whole numbers 0 to 255, flat or nested as their shape says."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .json_body import kind
from .transport import HttpError

Images = npt.NDArray[np.uint8]  # [N,channels,height,width]
Shape = tuple[int, int, int]  # of an image, as the model's contract says: channels, height, width
MESSAGE_LENGTH = 60  # characters of a value that is quoted in an error


def read_pixels(values: object, shape: tuple[int, ...], *, name: str, booleans: bool) -> bytearray:
    """Return pixels as bytes, row-major.

    Args:
        values: numbers 0 to 255, one flat list or lists in lists as `shape` says.
        shape: all dimensions at least 1.
        name: what to call the values in errors.
        booleans: whether the document may hold true or false, which are numbers to Python.

    Raises:
        HttpError: 400, the lists are ragged, too long or too short, or hold anything else.

    """
    flat = _flatten(values, shape, name=name)
    try:
        pixels = bytearray(flat)  # a fifth of the time of bytes(flat)
    except (ValueError, TypeError, OverflowError) as error:
        raise _wrong_pixel(flat, name=name) from error
    if booleans and any(type(value) is bool for value in flat):
        raise _wrong_pixel(flat, name=name)
    return pixels


def to_images(pixels: bytes | bytearray, shape: Shape) -> Images:
    """Return the images, uint8 [N,channels,height,width], whose pixels follow one another in the bytes."""
    return np.frombuffer(pixels, dtype=np.uint8).reshape(-1, *shape)


def _flatten(values: object, shape: tuple[int, ...], *, name: str) -> list[Any]:
    """Return the numbers of nested lists as one list; a flat list is returned as it is."""
    size = math.prod(shape)
    level = _as_list(values, name=name)
    if not level or type(level[0]) is not list:
        return _of_length(level, size, name=name)
    _of_length(level, shape[0], name=name)
    for length in shape[1:]:
        deeper: list[Any] = []
        for part in level:
            deeper += _of_length(_as_list(part, name=name), length, name=name)
        level = deeper
    return level


def _as_list(value: object, *, name: str) -> list[Any]:
    if type(value) is not list:
        raise HttpError(400, f"{name} has {kind(value)} where it must have a list")
    return value


def _of_length(values: list[Any], length: int, *, name: str) -> list[Any]:
    if len(values) != length:
        raise HttpError(400, f"{name} has a list of {len(values):,} where it must have {length:,}")
    return values


def _wrong_pixel(flat: list[Any], *, name: str) -> HttpError:
    """Return the error that shows the first value that is not a pixel."""
    wrong = next(value for value in flat if type(value) is not int or not 0 <= value <= 255)  # noqa: PLR2004
    shown = kind(wrong) if isinstance(wrong, (list, dict)) else repr(wrong)[:MESSAGE_LENGTH]
    return HttpError(400, f"{name} holds {shown}; pixels must be whole numbers from 0 to 255")
