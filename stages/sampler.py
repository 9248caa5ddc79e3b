"""Box 1, which images an epoch learns from: each of them once, or those with a high loss more often.

Source: in the spirit of A. Katharopoulos and F. Fleuret, Not all samples are created equal, ICML 2018, but weighted by
the losses of the last visits, which cost nothing to remember, and without their correction, since hard images are meant
to count for more. `torch.utils.data.WeightedRandomSampler` is the same with weights that never change.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from stages.config import Section

MEMORY = 0.5  # share of an image's old loss that is kept when a new one is noted
LEAST, MOST = 0.1, 10.0  # bounds of an image's weight, as multiples of the mean
LOWEST = 1e-30  # of the mean loss: few images are learned until nothing is left of it


class Sampler(Section):
    """`power`: images are drawn in proportion to this power of their loss; 0 takes each of them once an epoch."""

    power: Annotated[float, Field(ge=0, le=2)]

    def build(self, count: int, device: torch.device) -> "LossWeightedSampler":
        """Return the sampler of `count` images that are on a device."""
        return LossWeightedSampler(count, power=self.power, device=device)


class LossWeightedSampler:
    """Draws the images of an epoch.

    Args:
        count: how many images there are.
        power: see `Sampler`.
        device: where the images are; the CPU if it is not given.

    Attributes:
        losses: float [count], of the last visits; 1 before the first.

    """

    def __init__(self, count: int, *, power: float, device: torch.device | None = None) -> None:
        self.losses = torch.ones(count, device=device)
        self.power = power

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return the rows of an epoch, int64 [count]; with a power, some of them more than once."""
        if not self.power:
            return torch.randperm(len(self.losses), generator=generator, device=generator.device)
        return torch.multinomial(self.weights(), len(self.losses), replacement=True, generator=generator)

    def weights(self) -> Tensor:
        """Return how often each image is drawn, float [count], as multiples of what a mean loss is worth."""
        mean = self.losses.mean().clamp(min=LOWEST)
        power = torch.tensor(self.power)  # 0.5 as a number is MKL's `sqrt`, which differs by the processor
        return (self.losses / mean).pow(power).clamp(LEAST, MOST)

    def update(self, rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Remember the losses of a batch: rows int64 [B], logits [B,classes], labels [B]."""
        if self.power:
            with torch.no_grad():
                losses = cross_entropy(logits, labels, reduction="none")
            self.losses[rows] = MEMORY * self.losses[rows] + (1 - MEMORY) * losses
