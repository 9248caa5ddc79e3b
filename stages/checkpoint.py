"""What a training changes from step to step, in one place: so that it can be saved after an epoch, and gone on with."""

import io
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stages.io import atomic_write
from stages.sampler import LossWeightedSampler

DIGEST = 32  # bytes of a SHA-256


class Epoch(NamedTuple):
    """A line of `reports/history.csv`; the losses are means, the accuracy a share of 1."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass
class TrainState:
    """A network in training.

    Attributes:
        model: what learns.
        optimizer: with what it remembers of the gradients.
        schedule: of its learning rate.
        generator: draws the order of the images, and how they vary.
        average: the running mean of the weights over the steps, where there is one; it is what comes out.
        focus: remembers which images are hard, where those are drawn more often.
        history: the epochs so far.
        best: the weights of the epoch with the least validation loss, kept where training may stop early.
        network: the model, or what shares its gradients between processes.

    """

    model: nn.Sequential
    optimizer: Optimizer
    schedule: LRScheduler
    generator: torch.Generator
    average: AveragedModel | None = None
    focus: LossWeightedSampler | None = None
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        """Take the model itself for the network, as where there is one process."""
        self.network: nn.Module = self.model

    @property
    def result(self) -> nn.Sequential:
        """The network that comes out."""
        return self.model if self.average is None else self.average.module  # type: ignore[return-value]

    def save(self, path: Path, *, fingerprint: str) -> None:
        """Write all of it, whole or not at all; `fingerprint` tells of which training it is."""
        content = io.BytesIO()
        torch.save(self._state() | {"fingerprint": fingerprint}, content)
        atomic_write(path, sha256(content.getvalue()).digest() + content.getvalue())

    def resume(self, path: Path, *, fingerprint: str) -> bool:
        """Go on from what `save` wrote, if it is of the same training; say whether it was."""
        content = path.read_bytes() if path.is_file() else b""
        if content[:DIGEST] != sha256(content[DIGEST:]).digest():
            return False  # there is none, or it is damaged: the training starts anew
        state = torch.load(io.BytesIO(content[DIGEST:]), map_location="cpu", weights_only=True)
        if state["fingerprint"] != fingerprint:
            return False
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.focus is not None:
            self.focus.losses = state["focus"]
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global_generator"])
        self.history = [Epoch(*line) for line in state["history"]]
        self.best = state["best"]
        return True

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "focus": self.focus.losses if self.focus else None,
            "generator": self.generator.get_state(),
            "global_generator": torch.get_rng_state(),
            "history": [tuple(line) for line in self.history],
            "best": self.best,
        }


def average_of(model: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of a model's weights, to be updated after every step."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


def as_csv(history: list[Epoch]) -> str:
    """Return the history as `reports/history.csv` has it."""
    lines = [",".join(Epoch._fields)]
    lines += [f"{line.epoch},{line.train_loss:.6f},{line.val_loss:.6f},{line.val_accuracy:.6f}" for line in history]
    return "\n".join(lines) + "\n"
