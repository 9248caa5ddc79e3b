"""Cross-entropy that is also shown what belongs to no class, and is to be unsure of it.

Source: Hendrycks et al., Deep anomaly detection with outlier exposure, ICLR 2019.
"""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stages.abstain.ood_images import TRAINED, as_shape, draw
from stages.config import Count, Section
from stages.data import NO_CLASS, Split


class OutlierExposure(Section):
    """`pictures` of each kind of non-digit are drawn and learned from; `weight` is theirs beside the digits'."""

    kind: Literal["outlier_exposure"]
    weight: Annotated[float, Field(gt=0)]
    pictures: Count

    def build(self) -> nn.Module:
        """Return the loss of raw logits [B,classes] and labels [B], `NO_CLASS` for what has none."""
        return _OutlierExposureLoss(self.weight)


class _OutlierExposureLoss(nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Add the cross-entropy towards the true classes and, for what has none, towards all alike."""
        known = labels != NO_CLASS
        of_known = cross_entropy(logits[known], labels[known], reduction="sum")
        of_others = -logits[~known].log_softmax(dim=1).mean(dim=1).sum()
        return (of_known + self.weight * of_others) / len(labels)


def add_outliers(training: Split, loss: OutlierExposure, *, seed: int) -> Split:
    """Add non-digits, drawn by `seed`, to the images uint8 [N,C,H,W] that are learned from."""
    drawn = torch.cat([draw(kind, loss.pictures, seed=seed) for kind in TRAINED])
    images = torch.cat([training.images, as_shape(drawn, training.shape)])
    return Split(images, torch.cat([training.labels, torch.full((len(drawn),), NO_CLASS)]))
