"""What a training changes from step to step, in one place: saved after every epoch, so that training can resume."""

import io
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

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
    """A model in training.

    Attributes:
        model: the network.
        optimizer: with its running means of the gradients.
        scheduler: sets the learning rate after each step.
        sampler: remembers the loss of each image.
        generator: draws the order of the images, and how they are augmented.
        history: the epochs so far.
        best: the weights of the epoch with the lowest validation loss, where training may stop early.

    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    sampler: LossWeightedSampler
    generator: torch.Generator
    history: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] | None = None

    def record(self, epoch: Epoch, *, keep_best: bool) -> None:
        """Add an epoch to the history; with `keep_best`, remember the weights of the lowest validation loss."""
        self.history.append(epoch)
        if keep_best and epoch.val_loss == min(line.val_loss for line in self.history):
            self.best = deepcopy(self.model.state_dict())

    def out_of_patience(self, patience: int | None) -> bool:
        """Return whether none of the last `patience` epochs was better than the best before them."""
        losses = [line.val_loss for line in self.history]
        return patience is not None and len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])

    def save(self, path: Path, *, fingerprint: str) -> None:
        """Write everything, or nothing; `fingerprint` identifies the training."""
        parts = (self.model, self.optimizer, self.scheduler)
        state = {type(part).__name__: part.state_dict() for part in parts} | {
            "losses": self.sampler.losses,
            "generator": self.generator.get_state(),
            "global_generator": torch.get_rng_state(),
            "history": [tuple(line) for line in self.history],
            "best": self.best,
            "fingerprint": fingerprint,
        }
        content = io.BytesIO()
        torch.save(state, content)
        atomic_write(path, sha256(content.getvalue()).digest() + content.getvalue())

    def resume(self, path: Path, *, fingerprint: str) -> bool:
        """Load what `save` wrote, if it belongs to the same training; return whether it did."""
        content = path.read_bytes() if path.is_file() else b""
        if content[:DIGEST] != sha256(content[DIGEST:]).digest():
            return False  # missing or damaged: start from the first epoch
        state = torch.load(io.BytesIO(content[DIGEST:]), map_location="cpu", weights_only=True)
        if state["fingerprint"] != fingerprint:
            return False
        for part in (self.model, self.optimizer, self.scheduler):
            part.load_state_dict(state[type(part).__name__])
        self.sampler.losses.copy_(state["losses"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["global_generator"])
        self.history = [Epoch(*line) for line in state["history"]]
        self.best = state["best"]
        return True


def own_copies(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's weights on the CPU, by name: a file takes none that share memory, or lie in another order."""
    weights = model.state_dict().items()
    return {name: weight.cpu().clone(memory_format=torch.contiguous_format) for name, weight in weights}


def fingerprint_of(params: str, data: Path) -> str:
    """Return a digest of everything that a training follows from: parameters, data, code and torch's version."""
    with safe_open(data, framework="pt") as tensors:
        checksum = tensors.metadata()
    digest = sha256(f"{params} {torch.__version__} {checksum}".encode())
    here = Path(__file__).parent
    preprocess = here.with_name("serving") / "mnist_serving/preprocess"  # with which drawn digits are read
    for path in sorted([*here.rglob("*.py"), *here.rglob("*.txt"), *preprocess.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()
