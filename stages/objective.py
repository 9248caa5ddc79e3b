"""Box 3, objective: the loss, the optimizer that lowers it, and the course of its learning rate."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from stages.losses.cross_entropy import CrossEntropy
from stages.losses.outlier_exposure import OutlierExposure
from stages.params import Part, Rate, Section

# A new loss is a file in `losses/` and its name here.
Loss = Annotated[CrossEntropy | OutlierExposure, Field(discriminator="kind")]

RISE = 0.1  # share of the steps in which a one-cycle learning rate rises; in the rest it falls to nothing

# Fused, because one kernel for all of a step's updates is fastest.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": partial(Adam, fused=True),
    "adamw": partial(AdamW, fused=True),
    "sgd": lambda weights, betas, **options: SGD(weights, momentum=betas[0], nesterov=True, fused=True, **options),
}
SCHEDULES: dict[str, Callable[[Optimizer, float, int], LRScheduler]] = {
    "constant": lambda optimizer, _rate, steps: ConstantLR(optimizer, factor=1, total_iters=steps),
    "cosine": lambda optimizer, _rate, steps: CosineAnnealingLR(optimizer, steps),
    "one_cycle": lambda optimizer, rate, steps: OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=RISE, anneal_strategy="linear", cycle_momentum=False
    ),
}


class Objective(Section):
    """Box 3: `learning_rate` is the highest of the schedule, which is worked off step by step.

    `betas` are the shares that are kept at each step of the running means of the gradient and of its square; of SGD,
    which has no second one, the first is the momentum.
    """

    loss: Loss
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    betas: Annotated[tuple[Part, Part], Field(strict=False)] = (0.9, 0.999)
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"

    def build_optimizer(self, weights: Iterable[Tensor]) -> Optimizer:
        """Return the optimizer of some weights."""
        options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay, "betas": self.betas}
        return OPTIMIZERS[self.optimizer](weights, **options)

    def build_schedule(self, optimizer: Optimizer, *, steps: int) -> LRScheduler:
        """Return what sets the learning rate after each of so many steps."""
        return SCHEDULES[self.schedule](optimizer, self.learning_rate, steps)
