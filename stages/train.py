"""Box 4, the training loop, and the stage `train`, which runs it.

It sees the training split alone: part of it to learn from, the rest, held out, to watch.
"""

import math
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer
from tqdm import tqdm

from stages.calibrate import fit_calibration, save_calibration
from stages.data import Split, batches, hold_out, load_split
from stages.gate import load_gate
from stages.model import KIND, build_model, predict
from stages.objective import build_loss, build_optimizer
from stages.params import Train, load_params
from stages.stage import CALIBRATION_FILE, GATE_FILE, REPORTS, TRAIN_FILE, WEIGHTS_FILE, StageError, run, write_whole
from stages.tensors import save_tensors

HISTORY_FILE = REPORTS / "history.csv"
SUSPECTS = (
    "suspects: the learning rate (params.yaml, `objective.learning_rate`: try a tenth), the order in the loop "
    "(forward, loss, zero_grad, backward, step), the data (scaled to 0..1? labels those of the images?)"
)


class Epoch(NamedTuple):
    """A line of `reports/history.csv`; the losses are means, the accuracy a share of 1."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float


def train_epoch(model: nn.Module, loss_function: nn.Module, optimizer: Optimizer, data: Iterable[Split]) -> list[float]:
    """Learn from each batch once; return each batch's loss, as it was before the step."""
    model.train()
    losses = []
    for images, labels in data:
        logits = model(images)
        loss = loss_function(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train(
    model: nn.Module, loss_function: nn.Module, optimizer: Optimizer, splits: tuple[Split, Split], params: Train
) -> Iterator[Epoch]:
    """Train the model in place, on the first split; yield what each epoch came to, on the second too.

    Raises:
        StageError: a loss is infinite or no number.

    """
    learn, watch = splits
    generator = torch.Generator().manual_seed(params.seed)
    for number in range(1, params.epochs + 1):
        shuffled = batches(learn, batch_size=params.batch_size, generator=generator)
        steps = math.ceil(len(learn.labels) / params.batch_size)
        losses = train_epoch(model, loss_function, optimizer, _with_progress(shuffled, number, steps))
        epoch = Epoch(number, sum(losses) / steps, *validate(model, loss_function, watch))
        if not math.isfinite(epoch.train_loss + epoch.val_loss):
            msg = f"the loss of epoch {number} is {epoch.train_loss}; {SUSPECTS}"
            raise StageError(msg)
        if number == 1 and epoch.train_loss >= losses[0]:
            print(f"warning: the loss has not fallen below its start, {losses[0]:.4f}; {SUSPECTS}", file=sys.stderr)
        yield epoch


def validate(model: nn.Module, loss_function: nn.Module, watch: Split) -> tuple[float, float]:
    """Return the loss and the share of right answers on images that the model does not learn from."""
    logits = predict(model, watch.images)
    right = logits.argmax(dim=1) == watch.labels
    return loss_function(logits, watch.labels).item(), right.float().mean().item()


def _with_progress(data: Iterator[Split], epoch: int, steps: int) -> Iterable[Split]:
    """Show a bar while an epoch lasts, on a terminal only."""
    return tqdm(data, desc=f"epoch {epoch}", total=steps, unit="batch", leave=False, disable=None)


def _as_csv(history: list[Epoch]) -> str:
    lines = [",".join(Epoch._fields)]
    lines += [f"{line.epoch},{line.train_loss:.6f},{line.val_loss:.6f},{line.val_accuracy:.6f}" for line in history]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write `models/weights.safetensors`, `models/calibration.json` and `reports/history.csv`."""
    params = load_params()
    classes = len(params.data.labels)
    everything = load_split(TRAIN_FILE, classes=classes)
    splits = hold_out(everything, validation=params.data.validation, seed=params.data.split_seed)
    torch.manual_seed(params.train.seed)
    model = build_model(hidden=params.model.hidden, classes=classes)
    optimizer = build_optimizer(model, learning_rate=params.objective.learning_rate)

    history = []
    for epoch in train(model, build_loss(), optimizer, splits, params.train):
        history.append(epoch)
        print(
            f"epoch {epoch.epoch}/{params.train.epochs} | avg loss {epoch.train_loss:.4f} | "
            f"val loss {epoch.val_loss:.4f} | val accuracy {epoch.val_accuracy:.4f}",
            flush=True,
        )
    save_tensors(WEIGHTS_FILE, KIND, model.state_dict())
    write_whole(HISTORY_FILE, _as_csv(history).encode())

    watch, gate = splits[1], load_gate(GATE_FILE, hidden=params.gate.hidden)
    calibration = fit_calibration(
        predict(model, watch.images),
        watch.labels,
        predict(gate, watch.images),
        most_refused=params.gate.most_refused,
    )
    save_calibration(CALIBRATION_FILE, calibration)


if __name__ == "__main__":
    run(main)
