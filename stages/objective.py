"""Box 3, objective: the loss, the optimizer that lowers it, and the course of its learning rate."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from stages.config import Part, Rate, Section
from stages.io import StageError
from stages.losses.cross_entropy import CrossEntropy
from stages.losses.outlier_exposure import OutlierExposure

# A new loss is a file in `losses/` and its name here.
Loss = Annotated[CrossEntropy | OutlierExposure, Field(discriminator="kind")]

RISE = 0.1  # share of the steps in which a one-cycle learning rate rises; in the rest it falls to nothing

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
    """Box 3: `learning_rate` is the highest of the schedule, which is worked off step by step.

    `betas` are Adam's, the shares that are kept at each step of the running means of the gradient and of its square;
    `momentum` is SGD's, Nesterov's where there is any.
    """

    loss: Loss
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    betas: Annotated[tuple[Part, Part], Field(strict=False)] = (0.9, 0.999)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"

    def build_loss(self, classes: int) -> nn.Module:
        """Return the loss of raw logits [B,classes] and labels [B].

        Raises:
            StageError: there are weights for another number of classes.

        """
        weights = self.loss.class_weights if isinstance(self.loss, CrossEntropy) else None
        if weights is not None and len(weights) != classes:
            msg = f"params.yaml: {len(weights)} `objective.loss.class_weights`, but the data set has {classes} classes"
            raise StageError(msg)
        return self.loss.build()

    def build_optimizer(self, weights: Iterable[Tensor]) -> Optimizer:
        """Return the optimizer of some weights; fused, because one kernel for all of a step's updates is fastest."""
        options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay, "fused": True}
        if self.optimizer == "sgd":
            return SGD(weights, momentum=self.momentum, nesterov=self.momentum > 0, **options)
        kind = Adam if self.optimizer == "adam" else AdamW
        return kind(weights, betas=self.betas, **options)

    def build_schedule(self, optimizer: Optimizer, *, steps: int) -> LRScheduler:
        """Return what sets the learning rate after each of so many steps."""
        return SCHEDULES[self.schedule](optimizer, self.learning_rate, steps)
