"""Temporary: any grey picture of one digit, to 28x28 as MNIST draws it."""

import numpy as np
import numpy.typing as npt

MIDDLE = 127


def canonicalize(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return uint8 [28,28] from a grey picture, uint8 [H,W]; ValueError when nothing is on the page."""
    picture = grey if np.median(grey) <= MIDDLE else 255 - grey
    rows, columns = np.nonzero(picture > MIDDLE)
    if not len(rows):
        msg = "nothing is on the page"
        raise ValueError(msg)
    digit = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = 20 / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    ys = (np.arange(height) / scale).astype(int).clip(0, digit.shape[0] - 1)
    xs = (np.arange(width) / scale).astype(int).clip(0, digit.shape[1] - 1)
    page = np.zeros((28, 28), dtype=np.uint8)
    top, left = (28 - height) // 2, (28 - width) // 2
    page[top : top + height, left : left + width] = digit[np.ix_(ys, xs)]
    return page
