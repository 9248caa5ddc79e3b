"""Cross-entropy: minus the logarithm of the probability that the right class is given."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from stages.config import Section

Weight = Annotated[float, Field(gt=0)]


class CrossEntropy(Section):
    """`label_smoothing` of the target is spread over all classes; `class_weights` are in the order of the labels."""

    kind: Literal["cross_entropy"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Annotated[tuple[Weight, ...] | None, Field(strict=False)] = None

    def build(self) -> nn.Module:
        """Return the mean cross-entropy of raw logits [B,classes] and integer labels [B].

        It takes the logarithm of the softmax itself: give it logits, not probabilities.
        """
        weights = None if self.class_weights is None else torch.tensor(self.class_weights)
        return nn.CrossEntropyLoss(weights, label_smoothing=self.label_smoothing)
