"""The detector's network, which tells digits from everything else; the stage `detector` trains it."""

from pathlib import Path

from torch import nn

from stages.data import Shape
from stages.io import load_tensors
from stages.models.inference import load_weights

KIND = "detector weights"


def build_detector(shape: Shape, *, hidden: int) -> nn.Sequential:
    """Return the untrained detector: scaled images float32 [B,*shape] -> logits [B,1], above 0 for a digit.

    It sees images at half the resolution, where strokes count and the shading of their edges does not.
    """
    channels, height, width = shape
    inputs = channels * (height // 2) * (width // 2)
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def load_detector(path: Path, shape: Shape) -> nn.Sequential:
    """Return the trained detector, as wide as the file says.

    Raises:
        StageError: the file is missing, damaged, or of a detector for another shape.

    """
    hidden = len(load_tensors(path, KIND)["2.weight"])
    return load_weights(build_detector(shape, hidden=hidden), path, KIND)
