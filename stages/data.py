"""Box 1, data: images and labels in memory, split, scaled and cut into batches.

The whole data set fits into memory, so a batch is an index into a tensor, not a DataLoader's work.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stages.stage import StageError
from stages.tensors import load_tensors, save_tensors

IMAGE_SHAPE = (1, 28, 28)


class Split(NamedTuple):
    """Images uint8 [N,1,28,28], 0 = background and 255 = ink, with their labels int64 [N]."""

    images: Tensor
    labels: Tensor

    def take(self, rows: Tensor) -> "Split":
        """Return the images and labels at `rows`, int64 [n]."""
        return Split(self.images.index_select(0, rows), self.labels.index_select(0, rows))


def save_split(path: Path, split: Split) -> None:
    """Write a split under the kind that its file name says, such as `train split`."""
    save_tensors(path, f"{path.stem} split", split._asdict())


def load_split(path: Path, *, classes: int) -> Split:
    """Read what `save_split` wrote.

    Raises:
        StageError: the file is missing, damaged, another split, or does not fit the classes.

    """
    split = Split(**load_tensors(path, f"{path.stem} split"))
    count = len(split.images)
    if count == 0 or split.images.shape[1:] != IMAGE_SHAPE or split.labels.shape != (count,):
        msg = f"{path}: images {[*split.images.shape]} and labels {[*split.labels.shape]}, wanted [N,1,28,28] and [N]"
        raise StageError(msg)
    if split.labels.min() < 0 or split.labels.max() >= classes:
        msg = f"{path} has labels up to {int(split.labels.max())}, but `data.labels` names {classes} classes"
        raise StageError(msg)
    return split


def hold_out(split: Split, *, validation: int, seed: int) -> tuple[Split, Split]:
    """Draw `validation` images out of a split; return what is left to train on, and them.

    Raises:
        StageError: nothing would be left to train on.

    """
    count = len(split.labels)
    if validation >= count:
        msg = f"params.yaml: `data.validation` is {validation}; it should be less than the {count} training images"
        raise StageError(msg)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return split.take(order[validation:].sort().values), split.take(order[:validation].sort().values)


def scale(images: Tensor) -> Tensor:
    """Turn uint8 grey levels 0 to 255 into float32 0 to 1."""
    return images.float().div_(255)


def batches(split: Split, *, batch_size: int, generator: torch.Generator) -> Iterator[Split]:
    """Cut a split into batches of scaled images, float32 [B,1,28,28], in a new random order.

    The last batch is smaller where `batch_size` does not divide the number of images.
    """
    for rows in torch.randperm(len(split.labels), generator=generator).split(batch_size):
        batch = split.take(rows)
        yield Split(scale(batch.images), batch.labels)
