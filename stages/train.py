"""Box 4, the training loop, and the stage `train`, which runs it.

It sees the training images alone: most of them to learn from, the rest for validation. Every epoch is checkpointed; an
interrupted training resumes there and gives the same bytes as an uninterrupted one.
"""

import math
import sys
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from stages import cuda_graph, data, distributed, sanity
from stages.augment import Augment
from stages.checkpoint import Epoch, TrainState, fingerprint_of, own_copies
from stages.config import Count, Section, Seed, load_params
from stages.data import Batch, DatasetInfo, Split, batches, load_dataset_info, load_training, prefetch
from stages.drawn.digits import DrawnDigits
from stages.io import INTERRUPTED, REPORTS, TRAIN_FILE, WEIGHTS_FILE, run, save_csv, save_tensors
from stages.models import KIND, Model, build_model
from stages.models.inference import predict
from stages.objective import Objective
from stages.sampler import LossWeightedSampler, Sampler

HISTORY_FILE = REPORTS / "history.csv"
SMALLEST_BATCH, BATCHES = 8, 8  # of a small data set: images in a step, and steps in an epoch, at least
CHECKPOINT_FILE = WEIGHTS_FILE.with_name("train.checkpoint")  # exists only while a training is unfinished


class Data(data.Data):
    """Box 1 with what only the training uses of it: how its images are augmented and sampled."""

    model_config = ConfigDict(extra="forbid")

    augment: Augment
    sampler: Sampler
    drawn_digits: DrawnDigits


class Train(Section):
    """Box 4: the loop.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step, of all processes together.
        min_steps: where `epochs` make fewer steps than this, because there are few images, there are more epochs and
            smaller batches; 0 leaves both as they are.
        seed: draws the first weights, the order of the images, and how they are augmented.
        patience: stop after so many epochs without a lower validation loss, and keep the best; null never stops early.
        device: only `cpu` gives the same bytes every time; `auto` is a GPU where there is one.
        processes: how many share the work.

    """

    epochs: Count
    batch_size: Count
    min_steps: Annotated[int, Field(ge=0, le=1_000_000)]
    seed: Seed
    patience: Count | None
    device: Literal["cpu", "cuda", "mps", "auto"]
    processes: Annotated[int, Field(gt=0, le=1_000)]

    def fit(self, images: int) -> "Train":
        """Return the loop for so many training images, of `min_steps` at least."""
        if self.epochs * math.ceil(images / self.batch_size) >= self.min_steps:
            return self
        batch_size = min(self.batch_size, max(SMALLEST_BATCH, images // BATCHES))
        epochs = max(self.epochs, math.ceil(self.min_steps / math.ceil(images / batch_size)))
        return self.model_copy(update={"batch_size": batch_size, "epochs": epochs})


class Params(Section):
    """What the stage uses."""

    data: Data
    model: Model
    objective: Objective
    train: Train

    def suit(self, info: DatasetInfo, *, images: int) -> "Params":
        """Return them as they suit a data set with so many training images."""
        augment = self.data.augment.suit(centred=info.centred)
        data = self.data.model_copy(update={"augment": augment})
        return self.model_copy(update={"data": data, "train": self.train.fit(images)})


def train_epoch(  # noqa: PLR0913, PLR0917 (the parts of a training step)
    model: nn.Module,
    loss_function: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    sampler: LossWeightedSampler,
    batches: Iterable[Batch],
) -> Tensor:
    """Learn from each batch once; return the loss of each batch before its step, float [batches]."""
    model.train()
    losses: list[Tensor] = []
    for images, labels, rows in batches:
        logits = model(images)
        loss = loss_function(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        sampler.update(rows, logits, labels)
        losses.append(loss.detach())
    return torch.stack(losses)


def validate(model: nn.Module, validation: Split) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy on images that the model does not learn from."""
    logits = predict(model, validation.images)
    correct = logits.argmax(dim=1) == validation.labels
    loss = nn.functional.cross_entropy(logits, validation.labels).item()
    return distributed.broadcast(loss), distributed.broadcast(correct.float().mean().item())


def build_state(params: Params, training: Split, *, info: DatasetInfo, device: torch.device) -> TrainState:
    """Return what boxes 1 to 4 describe, untrained."""
    torch.manual_seed(params.train.seed)
    model = build_model(params.model, info, training.images).to(device)
    optimizer = params.objective.build_optimizer(model.parameters())
    steps = params.train.epochs * math.ceil(len(training.labels) / params.train.batch_size)
    scheduler = params.objective.build_scheduler(optimizer, steps=steps)
    sampler = params.data.sampler.build(len(training.labels), device)
    return TrainState(model, optimizer, scheduler, sampler, torch.Generator(device).manual_seed(params.train.seed))


def train(state: TrainState, loss_function: nn.Module, training: Split, validation: Split, params: Params) -> None:
    """Train until the last epoch, or until the validation loss stops falling; checkpoint and print every epoch.

    Args:
        state: the model and its history, after which training continues.
        loss_function: of raw logits and labels.
        training: the images to learn from, on the model's device.
        validation: the images to validate on, there too.
        params: boxes 1 to 4.

    Raises:
        StageError: a loss is infinite or not a number.

    """
    fingerprint = fingerprint_of(params.model_dump_json(), TRAIN_FILE)
    if state.resume(CHECKPOINT_FILE, fingerprint=fingerprint):
        distributed.say(f"resuming after epoch {len(state.history)}")
    elif distributed.rank() == 0:
        distributed.warn(sanity.check(state.model, loss_function, params.objective.build_optimizer, training))
    model = distributed.replicate(state.model)
    learn, augment = cuda_graph.record(train_epoch, params.data.augment, state)
    steps = math.ceil(len(training.labels) / params.train.batch_size)
    first = None  # the first loss, unless it was before an interruption
    distributed.warn(sanity.check_steps(params.train.epochs * steps))
    while len(state.history) < params.train.epochs and not state.out_of_patience(params.train.patience):
        number, before = len(state.history) + 1, state.sampler.losses.clone()
        epoch_batches = batches(
            training,
            state.sampler.draw(state.generator),
            batch_size=params.train.batch_size,
            generator=state.generator,
            augment=augment,
            rank=distributed.rank(),
            world_size=distributed.world_size(),
        )
        if params.data.augment.warps and training.images.device.type == "cpu":
            epoch_batches = prefetch(epoch_batches)
        shown = tqdm(epoch_batches, f"epoch {number}", steps, leave=False, disable=distributed.rank() > 0 or None)
        losses = learn(model, loss_function, state.optimizer, state.scheduler, state.sampler, shown).tolist()
        state.sampler.losses.copy_(distributed.merge(before, state.sampler.losses).clamp(min=0))
        epoch = Epoch(number, sum(losses) / len(losses), *validate(state.model, validation))
        first = losses[0] if number == 1 else first
        distributed.warn(sanity.check_losses(epoch, first=first, steps=steps, last=number == params.train.epochs))
        state.record(epoch, keep_best=params.train.patience is not None)
        if distributed.rank() == 0:
            state.save(CHECKPOINT_FILE, fingerprint=fingerprint)
        distributed.end_if_orphaned()
        distributed.say(
            f"epoch {number}/{params.train.epochs} | avg loss {epoch.train_loss:.4f} | "
            f"val loss {epoch.val_loss:.4f} | val accuracy {epoch.val_accuracy:.4f}"
        )
    if state.best is not None:
        state.model.load_state_dict(state.best)


def main() -> None:
    """Write `models/weights.safetensors` and `reports/history.csv`."""
    params, info = load_params(Params), load_dataset_info()
    if params.train.processes > 1 and not distributed.launched():
        distributed.launch("stages.train", params.train.processes)
        return
    training, validation = load_training(info, params.data)
    training = training.join(params.data.drawn_digits.draw(info))
    count, asked = len(training.labels), params.train
    params = params.suit(info, images=count)
    if params.train != asked:
        distributed.say(
            f"{params.train.epochs} epochs in batches of {params.train.batch_size}, because {count:,} training images "
            f"make too few steps in {asked.epochs} epochs in batches of {asked.batch_size} (`train.min_steps`)"
        )
    distributed.check_batches(params.train.batch_size, count)
    device = distributed.get_device(params.train.device)
    state = build_state(params, training, info=info, device=device)
    loss_function = params.objective.loss.build().to(device)
    try:
        with distributed.process_group(device):
            train(state, loss_function, training.to(device), validation.to(device), params)
    except KeyboardInterrupt as interrupt:
        if distributed.rank() > 0:
            sys.exit(INTERRUPTED)
        kept = f"{len(state.history)} of {params.train.epochs} epochs are kept in {CHECKPOINT_FILE}"
        raise KeyboardInterrupt(kept) from interrupt
    if distributed.rank() == 0:
        save_tensors(WEIGHTS_FILE, KIND, own_copies(state.model))
        save_csv(HISTORY_FILE, Epoch._fields, state.history)
        CHECKPOINT_FILE.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
