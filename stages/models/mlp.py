"""The tutorial's network: fully connected layers with ReLUs between them."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from stages.config import Section, Width


class Mlp(Section):
    """`hidden` are the widths of the hidden layers, the first nearest to the pixels."""

    kind: Literal["mlp"]
    hidden: Annotated[tuple[Width, ...], Field(strict=False, min_length=1)]

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Sequential:
        """Return the untrained network, float32 [B,channels,height,width] -> logits [B,classes]."""
        channels, height, width = shape
        layers: list[nn.Module] = [nn.Flatten()]
        size = channels * height * width
        for next_size in self.hidden:
            layers += [nn.Linear(size, next_size), nn.ReLU()]
            size = next_size
        return nn.Sequential(*layers, nn.Linear(size, classes))
