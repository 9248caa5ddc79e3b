"""Learning more from what is hard: images whose loss was high are drawn more often.

Source: in the spirit of A. Katharopoulos and F. Fleuret, Not all samples are created equal, ICML 2018, but by the loss
of the last visits, which costs nothing, and without their correction for it: what is hard is meant to weigh more.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

MEMORY = 0.5  # share of an image's old loss that is kept when a new one is noted
LEAST, MOST = 0.1, 10.0  # bounds of how often an image is drawn, of the mean


class LossWeightedSampler:
    """Draws the order of an epoch's images, each about as often as a power of its loss.

    Args:
        count: how many images there are.
        power: 0 draws all alike, 1 in proportion to the loss.

    Attributes:
        losses: float [count], of the last visits; 1 before the first.
        rows: int64 [B], the batch that is being learned from.

    """

    def __init__(self, count: int, *, power: float) -> None:
        self.losses = torch.ones(count)
        self.power = power
        self.rows = torch.empty(0, dtype=torch.int64)

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return rows, int64 [count], some of them more than once."""
        weights = (self.losses / self.losses.mean()).pow(self.power).clamp(LEAST, MOST)
        return torch.multinomial(weights, len(weights), replacement=True, generator=generator)

    def note(self, logits: Tensor, labels: Tensor) -> None:
        """Remember the losses of the batch at `rows`: logits [B,classes], labels [B].

        For an image that belongs to no class it is how far its probabilities are from all alike, their divergence.
        """
        with torch.no_grad():
            of_known = cross_entropy(logits, labels.clamp(min=0), reduction="none")
            of_others = (-logits.log_softmax(dim=1).mean(dim=1) - math.log(logits.shape[1])).clamp(min=0)
            losses = torch.where(labels < 0, of_others, of_known).cpu()
        self.losses[self.rows] = MEMORY * self.losses[self.rows] + (1 - MEMORY) * losses
