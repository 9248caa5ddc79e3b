"""The smallest model: one layer, softmax regression."""

from typing import Literal

from torch import nn

from stages.config import Section


class Linear(Section):
    """One layer from the pixels to the logits."""

    kind: Literal["linear"]

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Sequential:
        """Return the untrained network, float32 [B,channels,height,width] -> logits [B,classes]."""
        channels, height, width = shape
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))
