"""A small convolutional network."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from stages.config import Section, Width

Channels = Annotated[int, Field(gt=0, le=4_096)]
Side = Literal[3, 5, 7]  # odd, so that halving rounds up


class Cnn(Section):
    """Convolutions that halve the sides, each with a ReLU, then two fully connected layers.

    `channels` are those of the convolutions, `kernel` is their side, `hidden` the width before the logits.
    """

    kind: Literal["cnn"]
    channels: Annotated[tuple[Channels, ...], Field(strict=False, min_length=1)]
    kernel: Side
    hidden: Width

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Sequential:
        """Return the untrained network, float32 [B,channels,height,width] -> logits [B,classes]."""
        size, height, width = shape
        layers: list[nn.Module] = []
        for next_size in self.channels:
            layers += [nn.Conv2d(size, next_size, self.kernel, stride=2, padding=self.kernel // 2), nn.ReLU()]
            size, height, width = next_size, (height + 1) // 2, (width + 1) // 2
        layers += [nn.Flatten(), nn.Linear(size * height * width, self.hidden), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden, classes))
