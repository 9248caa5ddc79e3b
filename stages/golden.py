"""Golden examples: pictures drawn by code, with the answers that the model has to give to them.

They travel inside the model, so that whoever loads it can prove, without any data set, that it
answers as it should. No MNIST image is among them.
"""

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

# A one, a seven, a zero, and a letter: strokes as points on a page of 100 by 100, of which MNIST's digits fill 71.
STROKES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((52, 15), (48, 85)),
    ((26, 16), (50, 16), (74, 14), (64, 34), (56, 50), (50, 68), (46, 88)),
    ((50, 14), (38, 19), (30, 32), (27, 50), (30, 68), (38, 81), (50, 86), (65, 79), (73, 50), (68, 28), (50, 14)),
    ((20, 85), (35, 20), (50, 60), (65, 20), (80, 85)),
)
PEN = 9  # of 100


def golden_images(shape: tuple[int, int, int]) -> Tensor:
    """Return the pictures, uint8 [N,*shape]: each of `STROKES`, and one with ink on every pixel."""
    channels, height, width = shape
    images = [_draw(points, width, height) for points in STROKES]
    images.append((np.arange(height * width) * 97 % 255 + 1).astype(np.uint8).reshape(height, width))
    return torch.from_numpy(np.stack(images)[:, np.newaxis]).repeat(1, channels, 1, 1)


def _draw(points: tuple[tuple[int, int], ...], width: int, height: int) -> np.ndarray:
    page = Image.new("L", (100, 100))
    pencil = ImageDraw.Draw(page)
    pencil.line(points, fill=255, width=PEN)
    for point in points:
        pencil.circle(point, PEN / 2, fill=255)
    return np.asarray(page.resize((width, height), Image.Resampling.BILINEAR))
