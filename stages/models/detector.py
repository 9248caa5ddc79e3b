"""The detector's network, which tells digits from everything else; the stage `detector` trains it."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from stages.data import Shape
from stages.io import DETECTOR_FILE, load_tensors
from stages.models.inference import load_weights
from stages.models.mlp import Mlp

KIND = "detector weights"


def build_detector(shape: Shape, *, hidden: Sequence[int]) -> nn.Sequential:
    """Return the untrained detector: scaled images float32 [B,*shape] -> logits [B,1], above 0 for a digit.

    It sees images at half the resolution, where strokes count and the shading of their edges does not.

    Args:
        shape: of an image.
        hidden: the widths of the hidden layers, the first nearest to the pixels.

    """
    channels, height, width = shape
    network = Mlp(kind="mlp", hidden=tuple(hidden)).build((channels, height // 2, width // 2), classes=1)
    return nn.Sequential(nn.AvgPool2d(2), *network)


def load_detector(shape: Shape, path: Path = DETECTOR_FILE) -> nn.Module:
    """Return the trained detector, as deep and as wide as the file says.

    Raises:
        StageError: the file is missing, damaged, or of a detector for another shape.

    """
    tensors = load_tensors(path, KIND)
    layers = sorted(int(name.removesuffix(".weight")) for name in tensors if name.endswith(".weight"))
    hidden = [len(tensors[f"{layer}.weight"]) for layer in layers[:-1]]
    return load_weights(build_detector(shape, hidden=hidden), path, KIND)
