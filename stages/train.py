"""Box 4, the training loop, and the stage `train`, which runs it.

It sees the training images alone: most of them to learn from, the rest, held out, for validation. After every epoch
all that it needs to go on is written down; interrupted, it ends in the same bytes as if it had not been.
"""

import math
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from tqdm import tqdm

from stages.abstain.calibrate import fit_calibration, save_calibration
from stages.abstain.detector import Detector, load_detector
from stages.checkpoint import Epoch, TrainState, as_csv, average_of
from stages.config import Count, Part, Section, Seed, load_params
from stages.data import Data, Split, batches, load_dataset_info, load_split, train_val_split
from stages.distributed import (
    all_reduce_changes,
    broadcast,
    data_parallel,
    get_device,
    launch,
    launched,
    rank,
    world_size,
)
from stages.inference import predict
from stages.io import (
    CALIBRATION_FILE,
    DATASET_FILE,
    DETECTOR_FILE,
    REPORTS,
    TRAIN_FILE,
    WEIGHTS_FILE,
    StageError,
    atomic_write,
    run,
    save_tensors,
)
from stages.losses.outlier_exposure import OutlierExposure, add_outliers
from stages.models import KIND, Model
from stages.objective import Objective
from stages.sampler import LossWeightedSampler
from stages.sanity import check

HISTORY_FILE = REPORTS / "history.csv"
CHECKPOINT_FILE = WEIGHTS_FILE.with_name("train.checkpoint")  # there only while a training is unfinished
SUSPECTS = (
    "suspects: the learning rate (params.yaml, `objective.learning_rate`: try a tenth), the order in the loop "
    "(forward, loss, zero_grad, backward, step), the data (scaled to 0..1? labels those of the images?)"
)


class Train(Section):
    """Box 4: the loop.

    Attributes:
        epochs: how often each image is learned from.
        batch_size: images a step, those of all processes together.
        seed: draws the first weights, the order of the images, and how they vary.
        clip_norm: the largest length of a step's gradient.
        average: how much of the running mean of the weights is kept at each step; the mean is what comes out.
        patience: stop after so many epochs without a lower validation loss, and keep the best.
        device: where; only `cpu` gives the same bytes every time.
        processes: how many share the work.

    """

    epochs: Count
    batch_size: Count
    seed: Seed
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    average: Part | None = None
    patience: Count | None = None
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    processes: Count = 1


class Params(Section):
    """What the stage uses."""

    data: Data
    model: Model
    objective: Objective
    train: Train
    detector: Detector


def train_epoch(
    learner: TrainState, loss_function: nn.Module, data: Iterable[Split], *, clip_norm: float | None = None
) -> list[float]:
    """Learn from each batch once; return each batch's loss, as it was before the step."""
    learner.network.train()
    losses = []
    for images, labels in data:
        logits = learner.network(images)
        loss = loss_function(logits, labels)
        learner.optimizer.zero_grad()
        loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(learner.model.parameters(), clip_norm)
        learner.optimizer.step()
        learner.schedule.step()
        if learner.average is not None:
            learner.average.update_parameters(learner.model)
        if learner.focus is not None:
            learner.focus.note(logits, labels)
        losses.append(loss.item())
    return losses


def train(
    learner: TrainState, loss_function: nn.Module, splits: tuple[Split, Split], params: Params
) -> Iterator[Epoch]:
    """Train on the first split; yield what each epoch came to, on the second too, and keep it in the history.

    Args:
        learner: goes on after the epochs of its history.
        loss_function: of logits and labels.
        splits: training and validation.
        params: of box 1, how images vary, and of box 4.

    Raises:
        StageError: a loss is infinite or no number.

    """
    training, validation = splits
    for number in range(len(learner.history) + 1, params.train.epochs + 1):
        if _out_of_patience(learner.history, params.train.patience):
            break
        data = batches(
            training,
            batch_size=params.train.batch_size,
            generator=learner.generator,
            augment=params.data.augment,
            focus=learner.focus,
            rank=rank(),
            world_size=world_size(),
        )
        shown = _with_progress(data, number, math.ceil(len(training.labels) / params.train.batch_size))
        before = learner.focus.losses.clone() if learner.focus else None
        losses = train_epoch(learner, loss_function, shown, clip_norm=params.train.clip_norm)
        if learner.focus is not None and before is not None:
            learner.focus.losses = all_reduce_changes(before, learner.focus.losses).clamp(min=0)
        epoch = Epoch(number, sum(losses) / len(losses), *validate(learner.result, validation))
        _check_losses(epoch, losses[0])
        learner.history.append(epoch)
        if params.train.patience and epoch.val_loss == min(line.val_loss for line in learner.history):
            learner.best = deepcopy(learner.result.state_dict())
        yield epoch
    if learner.best is not None:
        learner.result.load_state_dict(learner.best)


def validate(model: nn.Module, validation: Split) -> tuple[float, float]:
    """Return the cross-entropy and the share of right answers on images that the model does not learn from."""
    logits = predict(model, validation.images)
    right = logits.argmax(dim=1) == validation.labels
    loss = nn.functional.cross_entropy(logits, validation.labels).item()
    return broadcast(loss), broadcast(right.float().mean().item())


def _check_losses(epoch: Epoch, first_loss: float) -> None:
    """Stop a training whose loss is infinite or no number; warn of one that has not learned in its first epoch."""
    if not math.isfinite(epoch.train_loss + epoch.val_loss):
        msg = f"the loss of epoch {epoch.epoch} is {epoch.train_loss}; {SUSPECTS}"
        raise StageError(msg)
    if epoch.epoch == 1 and epoch.train_loss >= first_loss:
        print(f"warning: the loss has not fallen below its start, {first_loss:.4f}; {SUSPECTS}", file=sys.stderr)


def _out_of_patience(history: list[Epoch], patience: int | None) -> bool:
    """Whether the last `patience` epochs were all no better than the best before them."""
    losses = [line.val_loss for line in history]
    return patience is not None and len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def _with_progress(data: Iterator[Split], epoch: int, steps: int) -> Iterable[Split]:
    """Show a bar while an epoch lasts, on a terminal only."""
    return tqdm(data, desc=f"epoch {epoch}", total=steps, unit="batch", leave=False, disable=True if rank() else None)


def build_learner(params: Params, shape: tuple[int, int, int], *, classes: int, images: int) -> TrainState:
    """Return what boxes 2 to 4 say, untrained.

    Args:
        params: the boxes.
        shape: of an image.
        classes: how many there are.
        images: how many an epoch has.

    Raises:
        StageError: a GPU is asked for that is not there.

    """
    torch.manual_seed(params.train.seed)
    device = get_device(params.train.device)
    model = params.model.build(shape, classes).to(device)
    optimizer = params.objective.build_optimizer(model.parameters())
    steps = params.train.epochs * math.ceil(images / params.train.batch_size)
    return TrainState(
        model=model,
        optimizer=optimizer,
        schedule=params.objective.build_schedule(optimizer, steps=steps),
        generator=torch.Generator().manual_seed(params.train.seed),
        average=average_of(model, params.train.average) if params.train.average else None,
        focus=LossWeightedSampler(images, power=params.data.focus) if params.data.focus else None,
    )


def run_training(params: Params, splits: tuple[Split, Split], *, classes: int) -> TrainState:
    """Train, from the checkpoint of the same training where there is one; print a line an epoch.

    Raises:
        StageError: a batch is too small to be shared by all processes, or what boxes 2 to 4 say cannot be.

    """
    training, validation = splits
    if isinstance(params.objective.loss, OutlierExposure):
        training = add_outliers(training, params.objective.loss, seed=params.train.seed)
    if (size := min(params.train.batch_size, len(training.labels))) < world_size():
        msg = f"{world_size()} processes cannot share a batch of {size}: params.yaml, `train.batch_size`"
        raise StageError(msg)
    learner = build_learner(params, training.shape, classes=classes, images=len(training.labels))
    device = next(learner.model.parameters()).device
    loss_function = params.objective.build_loss(classes).to(device)
    fingerprint = fingerprint_of(params)
    with data_parallel(learner, device):
        if learner.resume(CHECKPOINT_FILE, fingerprint=fingerprint):
            _say(f"goes on after epoch {len(learner.history)} of an unfinished training")
        elif not rank():
            for sentence in check(learner.model, loss_function, params.objective.build_optimizer, splits[0].to(device)):
                print(f"warning: {sentence}", file=sys.stderr)
        for epoch in train(learner, loss_function, (training.to(device), validation.to(device)), params):
            if not rank():
                learner.save(CHECKPOINT_FILE, fingerprint=fingerprint)
            _say(
                f"epoch {epoch.epoch}/{params.train.epochs} | avg loss {epoch.train_loss:.4f} | "
                f"val loss {epoch.val_loss:.4f} | val accuracy {epoch.val_accuracy:.4f}"
            )
    learner.result.cpu()
    return learner


def _say(line: str) -> None:
    """Print a line, once for all processes."""
    if not rank():
        print(line, flush=True)


def fingerprint_of(params: Params) -> str:
    """Return a digest of all that a training follows from: parameters, data, code and torch."""
    digest = sha256(f"{params.model_dump_json()} {torch.__version__}".encode())
    for path in [TRAIN_FILE, *sorted(Path(__file__).parent.rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Write `models/weights.safetensors`, `models/calibration.json` and `reports/history.csv`."""
    params, info = load_params(Params), load_dataset_info(DATASET_FILE)
    if params.train.processes > 1 and not launched():
        launch("stages.train", params.train.processes)
        return
    everything = load_split(TRAIN_FILE, info)
    splits = train_val_split(everything, validation=params.data.validation, seed=params.data.split_seed)
    detector = load_detector(DETECTOR_FILE, info.shape, hidden=params.detector.hidden)
    learner = run_training(params, splits, classes=len(info.labels))
    if rank():
        return
    save_tensors(WEIGHTS_FILE, KIND, learner.result.state_dict())
    atomic_write(HISTORY_FILE, as_csv(learner.history).encode())
    calibration = fit_calibration(
        predict(learner.result, splits[1].images),
        splits[1].labels,
        predict(detector, splits[1].images),
        max_false_rejection_rate=params.detector.max_false_rejection_rate,
    )
    save_calibration(CALIBRATION_FILE, calibration)
    CHECKPOINT_FILE.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
