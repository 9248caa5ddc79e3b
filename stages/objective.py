"""Box 3, objective: the loss, and the optimizer that lowers it."""

from torch import nn
from torch.optim import Adam, Optimizer


def build_loss() -> nn.Module:
    """Return the mean cross-entropy of raw logits [B,classes] and integer labels [B].

    It takes the logarithm of the softmax itself: give it logits, not probabilities.
    """
    return nn.CrossEntropyLoss()


def build_optimizer(model: nn.Module, *, learning_rate: float) -> Optimizer:
    """Return Adam over all weights; fused, because one kernel for all of a step's updates is fastest."""
    return Adam(model.parameters(), lr=learning_rate, fused=True)
