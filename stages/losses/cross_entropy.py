"""Cross-entropy: minus the logarithm of the probability of the right class."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from stages.config import Section


class CrossEntropy(Section):
    """`label_smoothing` of the target is spread over all classes (Szegedy et al., CVPR 2016)."""

    kind: Literal["cross_entropy"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]

    def build(self) -> nn.Module:
        """Return the mean cross-entropy of raw logits [B,classes] and integer labels [B].

        It takes the logarithm of the softmax itself: give it logits, not probabilities.
        """
        return nn.CrossEntropyLoss(label_smoothing=self.label_smoothing)
