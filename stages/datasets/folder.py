"""Your own pictures: `<split>/<label>/*`, or `<label>/*`, of which some are drawn for the test set."""

import sys
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from mnist_serving.decode import decode
from PIL import Image
from pydantic import Field, ValidationError
from torch import Tensor
from tqdm import tqdm

from stages.config import Part, Section, Seed
from stages.data import Dataset, DatasetInfo, Split
from stages.datasets.findings import find_faults
from stages.datasets.listing import ABOUT, FORMATS, list_pictures, name_some
from stages.io import StageError

CENTRED = (1, 28, 28)  # channels, height and width of what `canonicalize` makes
Side = Annotated[int, Field(ge=4, le=1_024)]  # pixels


class Folder(Section):
    """Pictures under `path`.

    Attributes:
        path: the folder.
        size: height and width to which all pictures are brought; null takes them as they are, all of one size.
        channels: `auto` is `rgb` where one picture has colours, and `grey` otherwise.
        test: the share of each label that is drawn for the test set, if the folder `test` is missing.
        seed: draws it.

    """

    path: Annotated[str, Field(min_length=1)]
    size: Annotated[tuple[Side, Side], Field(strict=False)] | None
    channels: Literal["auto", "grey", "rgb"]
    test: Part
    seed: Seed

    def load(self) -> Dataset:
        """Read the pictures; print what was left out, and what to look at.

        Raises:
            StageError: the folder is missing, or no data set: a label without pictures, fewer than two labels,
                pictures that cannot be read, of several sizes, or all alike; a `dataset.json` that is wrong.

        """
        root = Path(self.path)
        paths, given, left_out = list_pictures(root)
        labels = tuple(sorted({path.parent.name for path in paths}))
        if len(labels) == 1:
            raise StageError(
                f"{root} holds pictures of {labels[0]} alone: at least two labels are needed, each a folder in it"
            )
        if left_out:
            print(f"left out {len(left_out):,} files that are not {FORMATS} in a label's folder: {name_some(left_out)}")
        everything = Split(self._read(paths), torch.tensor([labels.index(path.parent.name) for path in paths]))
        tested = self._draw_test(everything.labels, labels) if given is None else torch.arange(len(paths)) >= given
        (learned,), (kept_out,) = (~tested).nonzero(as_tuple=True), tested.nonzero(as_tuple=True)
        mixed = torch.randperm(len(learned), generator=torch.Generator().manual_seed(self.seed))
        learned = learned[mixed]  # as MNIST's, so that the first of them are of all labels
        train, test = everything.take(learned), everything.take(kept_out)
        in_order = [paths[row] for row in [*learned.tolist(), *kept_out.tolist()]]
        for sentence in find_faults(train, test, paths=in_order, labels=labels):
            print(f"warning: {sentence}", file=sys.stderr)
        checksum, centred = {"pictures": _digest(root, paths)}, _are_centred(root)
        if centred and everything.shape != CENTRED:
            raise StageError(
                f"{root / ABOUT} says that the pictures are centred, but they are {[*everything.shape]}, not "
                f"{[*CENTRED]}: set `download.folder.size` to [28, 28] and `channels` to grey, or remove that file"
            )
        info = DatasetInfo(name=root.name, labels=labels, shape=everything.shape, centred=centred, sha256=checksum)
        return Dataset(info, train, test)

    def _draw_test(self, places: Tensor, labels: tuple[str, ...]) -> Tensor:
        """Return which pictures are for the test set, bool [N]: a share of each label, and neither none nor all."""
        tested = torch.zeros(len(places), dtype=torch.bool)
        generator = torch.Generator().manual_seed(self.seed)
        for place, label in enumerate(labels):
            (rows,) = (places == place).nonzero(as_tuple=True)
            if len(rows) == 1:
                raise StageError(
                    f"there is one picture of {label}: at least two are needed, one to learn from and one to test on"
                )
            count = min(max(1, round(self.test * len(rows))), len(rows) - 1)
            tested[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
        return tested

    def _read(self, paths: list[Path]) -> Tensor:
        """Return all pictures, uint8 [N,C,H,W].

        Raises:
            StageError: one cannot be read, or its size is not that of the first.

        """
        pictures: list[Image.Image] = []
        for path in tqdm(paths, desc="pictures", delay=1, leave=False, disable=None):
            picture = _open_picture(path)
            if self.size:
                picture = picture.resize(self.size[::-1], Image.Resampling.BILINEAR)
            pictures.append(picture)
            if picture.size != pictures[0].size:
                sizes = [f"{one} is {shown.width}x{shown.height}" for one, shown in zip(paths, pictures, strict=False)]
                raise StageError(
                    f"{sizes[-1]}, {sizes[0]}: all pictures must have one size; a line in params.yaml brings them to "
                    "one, `download.folder.size`, such as `size: [28, 28]`"
                )
        colours = self.channels == "rgb" or (self.channels == "auto" and any(map(_has_colours, pictures)))
        mode = "RGB" if colours else "L"
        images = torch.from_numpy(np.stack([np.asarray(picture.convert(mode)) for picture in pictures]))
        return images.reshape(*images.shape[:3], -1).permute(0, 3, 1, 2).contiguous()


class About(Section):
    """What the drawing page says of the pictures that it keeps, in a `dataset.json` beside the labels' folders."""

    centred: bool


def _are_centred(root: Path) -> bool:
    """Return whether the pictures are as `canonicalize` makes them; without a word on it they are not.

    Raises:
        StageError: `dataset.json` says anything else.

    """
    path = root / ABOUT
    try:
        return path.exists() and About.model_validate_json(path.read_bytes()).centred
    except ValidationError as error:
        raise StageError(f'{path} must be {{"centred": true}} or {{"centred": false}}: fix or remove it') from error


def _has_colours(picture: Image.Image) -> bool:
    """Return whether a picture is not grey: browsers write grey pictures as RGB."""
    return picture.mode == "RGB" and bool(np.ptp(np.asarray(picture), axis=2).any())


def _open_picture(path: Path) -> Image.Image:
    """Return a picture as `L` or `RGB`, read as the package reads those that the model will be asked about.

    Raises:
        StageError: it cannot be read.

    """
    try:
        return decode(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise StageError(f"{path} cannot be read as an image ({error}): fix or remove it") from error


def _digest(root: Path, paths: list[Path]) -> str:
    """Return a SHA-256 of all names and contents."""
    digest = sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root).as_posix()} {sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
