"""Checks of a training that catch what goes wrong most often, in a second.

Before it: the first loss tells whether the model starts unbiased, since a blind guess gives all classes the same
logit, and its cross-entropy is ln(classes). Overfitting one batch tells whether the model can learn at all. Both work
on a copy, with random numbers of their own, and leave the training unchanged. During it: the loss is finite, and falls.
"""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from torch import nn
from torch.optim import Optimizer

from stages.checkpoint import Epoch
from stages.data import Split, scale
from stages.io import StageError

BATCH, STEPS = 32, 100
FARTHEST = 0.5  # of the first loss from that of a blind guess
LEARNED = 0.9  # share of the one batch
SUSPECTS = (
    "suspects: the learning rate (params.yaml, `objective.learning_rate`: try a tenth), the order in the loop "
    "(forward, loss, zero_grad, backward, step), the data (scaled to 0..1? labels those of the images?)"
)


def check_first_loss(model: nn.Module, loss_function: nn.Module, batch: Split) -> Iterator[str]:
    """Yield what is wrong if the untrained model's loss is far from that of a blind guess."""
    logits = model(scale(batch.images))
    loss, blind = (loss_function(scores, batch.labels).item() for scores in (logits, torch.zeros_like(logits)))
    if not abs(loss - blind) < FARTHEST:
        yield (
            f"the first loss is {loss:.2f}, not near {blind:.2f}, that of a blind guess (for the cross-entropy "
            f"ln({logits.shape[1]})): are the images scaled to 0..1, is there a softmax before the loss, "
            "are the first weights too large?"
        )


def overfit_one_batch(model: nn.Module, loss_function: nn.Module, optimizer: Optimizer, batch: Split) -> Iterator[str]:
    """Train on one batch again and again; yield what is wrong if the model does not learn it by heart."""
    images = scale(batch.images)
    for _ in range(STEPS):
        logits = model(images)
        loss = loss_function(logits, batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = (model(images).argmax(dim=1) == batch.labels).float().mean().item()
    if right < LEARNED:
        yield (
            f"after {STEPS} steps on one batch of {len(batch.labels)} images {right:.0%} of them are right: "
            "is the learning rate too high or too low (params.yaml, `objective.learning_rate`), "
            "does the loss get raw logits, do the labels belong to the images?"
        )


def check(
    model: nn.Module,
    loss_function: nn.Module,
    build_optimizer: Callable[[Iterator[nn.Parameter]], Optimizer],
    training: Split,
) -> list[str]:
    """Return what both checks find wrong with a model that is about to learn from a split."""
    count = len(training.labels)
    batch = training.take(torch.arange(0, count, max(1, count // BATCH))[:BATCH])
    with torch.random.fork_rng(devices=[]):
        copy = deepcopy(model)
        found = [*check_first_loss(copy, loss_function, batch)]
        return [*found, *overfit_one_batch(copy, loss_function, build_optimizer(copy.parameters()), batch)]


def check_steps(steps: int) -> Iterator[str]:
    """Yield what is wrong if a whole training is too short for any model to learn."""
    if steps < STEPS:
        yield (
            f"{steps} steps in all are too few to learn from: raise `train.min_steps` or `train.epochs`, or lower "
            "`train.batch_size`, in params.yaml"
        )


def check_losses(epoch: Epoch, *, first: float | None, steps: int, last: bool) -> Iterator[str]:
    """Yield what is wrong if the first hundred steps did not lower the loss.

    Args:
        epoch: the one that has ended.
        first: the loss before the first step of the training; None if it is not known.
        steps: of an epoch.
        last: whether no other epoch follows.

    Raises:
        StageError: a loss is infinite or not a number.

    """
    if not math.isfinite(epoch.train_loss + epoch.val_loss):
        losses = f"{epoch.train_loss} in training and {epoch.val_loss} in validation"
        raise StageError(f"the loss of epoch {epoch.epoch} is {losses}; {SUSPECTS}")
    before, after = (epoch.epoch - 1) * steps, epoch.epoch * steps
    due = before < STEPS <= after or (last and after < STEPS)
    if first is not None and due and epoch.train_loss >= first:
        yield f"the loss has not fallen below its start, {first:.4f}; {SUSPECTS}"
