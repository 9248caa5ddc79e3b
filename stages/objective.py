"""Box 3, objective: the loss, the optimizer that lowers it, and the schedule of its learning rate."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from stages.config import Part, Rate, Section
from stages.losses import Loss

RISE = 0.1  # share of the steps in which a one-cycle learning rate rises; then it falls to 0

SCHEDULES: dict[str, Callable[[Optimizer, float, int], LRScheduler]] = {
    "constant": lambda optimizer, _rate, steps: ConstantLR(optimizer, factor=1, total_iters=steps),
    "cosine": lambda optimizer, _rate, steps: CosineAnnealingLR(optimizer, steps),
    "one_cycle": lambda optimizer, rate, steps: OneCycleLR(
        optimizer,
        rate,
        total_steps=steps,
        pct_start=RISE if RISE * steps != 1 else 2 * RISE,  # PyTorch divides by the steps of the rise minus 1
        anneal_strategy="linear",
        cycle_momentum=False,
    ),
}


class Objective(Section):
    """Box 3: the loss, the optimizer, and the schedule of its learning rate.

    Attributes:
        loss: of raw logits [B,classes] and integer labels [B].
        optimizer: PyTorch's.
        learning_rate: the highest of the schedule.
        weight_decay: decoupled from the gradient for `adamw`, added to it for the others.
        betas: Adam's; the shares of the running means, of the gradient and of its square, that each step keeps.
        momentum: SGD's, in Nesterov's form if it is above 0.
        schedule: moves the learning rate after every step.

    """

    loss: Loss
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, lt=1)]
    betas: Annotated[tuple[Part, Part], Field(strict=False)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    schedule: Literal["constant", "cosine", "one_cycle"]

    def build_optimizer(self, weights: Iterable[Tensor]) -> Optimizer:
        """Return the optimizer of some weights, fused: one kernel for all updates of a step is fastest."""
        options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay, "fused": True}
        if self.optimizer == "sgd":
            return SGD(weights, momentum=self.momentum, nesterov=self.momentum > 0, **options)
        kind = Adam if self.optimizer == "adam" else AdamW
        return kind(weights, betas=self.betas, **options)

    def build_scheduler(self, optimizer: Optimizer, *, steps: int) -> LRScheduler:
        """Return what sets the learning rate after each of `steps` steps."""
        return SCHEDULES[self.schedule](optimizer, self.learning_rate, steps)
