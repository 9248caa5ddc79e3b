"""Box 1, data: images and labels in memory, split, scaled and cut into batches.

The whole data set fits into memory, so a batch is an index into a tensor and needs no DataLoader. `datasets/` says
where the images come from; `data/dataset.json` describes them and travels with them.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import AfterValidator, ConfigDict, Field
from torch import Tensor

from stages.config import PARAMS_FILE, Section, Seed, load_json
from stages.io import DATASET_FILE, TRAIN_FILE, StageError, load_tensors, save_tensors

FEW = 1_000  # images of a label, below which a plain draw may miss it

Shape = tuple[int, int, int]  # of an image: channels, height, width


def _whole_or_share(value: float) -> float:
    if value > 1 and value % 1:
        raise ValueError("write a whole number of images, or a share of them below 1")
    return value


# A number of images from 1 up, a share of them below 1.
Quantity = Annotated[float, Field(gt=0), AfterValidator(_whole_or_share)]


class Data(Section):
    """Box 1, as every stage reads it: the data set, and how many training images are held out for validation.

    `validation` is a number of images, or a share of them below 1. How training images are augmented and sampled
    concerns the stage `train` alone, which adds it.
    """

    model_config = ConfigDict(extra="ignore")

    dataset: str
    validation: Quantity
    split_seed: Seed


class DatasetInfo(Section):
    """What to know about a data set besides its images.

    Attributes:
        name: as people call it.
        labels: the classes' names; a label is a place in them.
        shape: channels, height and width of every image.
        centred: its images are as MNIST's, one figure in 20x20 about its centre of mass, white on black.
        sha256: of what it was made from, by name.

    """

    name: str
    labels: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
    shape: Annotated[Shape, Field(strict=False)]
    centred: bool
    sha256: dict[str, str]


class Split(NamedTuple):
    """Images uint8 [N,C,H,W], 0 = background and 255 = ink where they are grey, with their labels int64 [N]."""

    images: Tensor
    labels: Tensor

    @property
    def shape(self) -> Shape:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def take(self, rows: Tensor) -> "Split":
        """Return the images and labels at `rows`, int64 [n]."""
        rows = rows.to(self.images.device)
        return Split(self.images.index_select(0, rows), self.labels.index_select(0, rows))

    def join(self, other: "Split") -> "Split":
        """Return these images and labels, then the other's."""
        return Split(torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels]))

    def to(self, device: torch.device) -> "Split":
        """Return them where the network is."""
        return Split(self.images.to(device), self.labels.to(device))


class Batch(NamedTuple):
    """Scaled images float32 [B,C,H,W], their labels int64 [B], and their rows in the split, int64 [B]."""

    images: Tensor
    labels: Tensor
    rows: Tensor


class Dataset(NamedTuple):
    """What a file in `datasets/` returns."""

    info: DatasetInfo
    train: Split
    test: Split


def load_dataset_info(path: Path = DATASET_FILE) -> DatasetInfo:
    """Read what `download` wrote.

    Raises:
        StageError: the file is missing or damaged.

    """
    return load_json(path, DatasetInfo)


def save_split(path: Path, split: Split) -> None:
    """Write a split under the kind that its file name says, such as `train split`."""
    save_tensors(path, f"{path.stem} split", split._asdict())


def load_split(path: Path, info: DatasetInfo) -> Split:
    """Read what `save_split` wrote.

    Raises:
        StageError: the file is missing, damaged, another split, or not of the data set that `info` describes.

    """
    split = Split(**load_tensors(path, f"{path.stem} split"))
    count = len(split.images)
    if count == 0 or split.images.shape[1:] != info.shape or split.labels.shape != (count,):
        found = f"images {[*split.images.shape]} and labels {[*split.labels.shape]}"
        wanted = f"[N,{','.join(map(str, info.shape))}] and [N]"
        raise StageError(f"{path} holds {found}, not {wanted}: delete it and run `dvc repro`")
    if split.labels.min() < 0 or split.labels.max() >= len(info.labels):
        raise StageError(
            f"{path} has labels up to {int(split.labels.max())}, but {info.name} names {len(info.labels)} classes"
        )
    return split


def load_training(info: DatasetInfo, box: Data) -> tuple[Split, Split]:
    """Return the training images to learn from, and those held out for validation.

    Raises:
        StageError: as `load_split` and `train_val_split` do.

    """
    return train_val_split(load_split(TRAIN_FILE, info), validation=box.validation, seed=box.split_seed)


def train_val_split(split: Split, *, validation: float, seed: int) -> tuple[Split, Split]:
    """Draw images out of a split; return what is left to train on, and them.

    Args:
        split: the training images.
        validation: how many to draw, or from 0 to 1 which share of them.
        seed: the same seed draws the same images.

    Raises:
        StageError: nothing is drawn, or nothing is left.

    """
    count = len(split.labels)
    held_out = int(validation) if validation >= 1 else round(validation * count)
    if not 0 < held_out < count:
        raise StageError(
            f"{PARAMS_FILE}: `data.validation` is {validation:g}, which holds out {held_out:,} of {count:,} training "
            f"images; write a number from 1 to {count - 1:,}, or a share such as 0.1"
        )
    return _draw(split, held_out, seed=seed)


def train_test_split(split: Split, *, share: float, seed: int) -> tuple[Split, Split]:
    """Draw a share of a split that has no test set of its own; return what is left to train on, and it.

    Neither is empty.
    """
    count = len(split.labels)
    return _draw(split, min(max(1, round(share * count)), count - 1), seed=seed)


def _draw(split: Split, drawn: int, *, seed: int) -> tuple[Split, Split]:
    """Draw so many images; return the others, and them. Where a label has few images, each label gives its share."""
    order = torch.randperm(len(split.labels), generator=torch.Generator().manual_seed(seed))
    counts = split.labels.bincount()
    if counts.min() < FEW:
        order = order[split.labels[order].argsort(stable=True)]  # label by label
        places = torch.cat([(torch.arange(count) + 0.5) / count for count in counts.tolist()])
        order = order[places.argsort(stable=True)]  # by how far each is in its label
    return split.take(order[drawn:].sort().values), split.take(order[:drawn].sort().values)


def scale(images: Tensor) -> Tensor:
    """Turn uint8 grey levels 0 to 255 into float32 0 to 1."""
    return images.float().div_(255)


def batches(  # noqa: PLR0913 (each is a choice of its own)
    split: Split,
    rows: Tensor,
    *,
    batch_size: int,
    generator: torch.Generator,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """Cut the rows of a split into batches of scaled images.

    The last batch is smaller where `batch_size` does not divide the number of rows; it is left out if it is a single
    image, which `nn.BatchNorm1d` refuses to learn from.

    Args:
        split: the images.
        rows: int64 [n], which images, in which order.
        batch_size: of all processes together.
        generator: draws how the images are augmented; the same in all processes.
        augment: changes a batch of scaled images.
        rank: this process's number.
        world_size: how many processes share each batch; a remainder that cannot be shared evenly is left out.

    """
    for batch in rows.split(batch_size):
        mine = batch[: len(batch) // world_size * world_size][rank::world_size]
        if len(mine) > 1 or 0 < len(mine) == batch_size // world_size:
            images, labels = split.take(mine)
            scaled = scale(images)
            yield Batch(augment(scaled, generator) if augment else scaled, labels, mine)


def prefetch(batches: Iterator[Batch], ahead: int = 4) -> Generator[Batch]:
    """Make the next batches in a thread of their own while the loop learns from this one.

    PyTorch releases the interpreter's lock while it computes, so a second core does it. The batches are the same, in
    the same order, since one thread makes all of them; what it raises, the loop raises in the place of the batch.
    """
    with ThreadPoolExecutor(1) as thread:
        made = deque(thread.submit(next, batches, None) for _ in range(ahead))
        while batch := made.popleft().result():
            made.append(thread.submit(next, batches, None))
            yield batch
