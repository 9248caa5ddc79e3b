"""Your own pictures: `<split>/<label>/*.png`, or `<label>/*.png`, of which some are drawn for the test set."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from mnist_serving.decode import decode
from PIL import Image
from pydantic import Field, ValidationError
from torch import Tensor
from tqdm import tqdm

from stages.config import Part, Section, Seed
from stages.data import Dataset, DatasetInfo, Split, train_test_split
from stages.io import StageError

SPLITS = ("train", "test")
ABOUT = "dataset.json"
SUFFIXES = {".png", ".jpg", ".jpeg"}


class Folder(Section):
    """Pictures under `path`, grey or colour, all of one size; `test` and `seed` apply where no split is given."""

    path: Annotated[str, Field(min_length=1)]
    test: Part
    seed: Seed

    def load(self) -> Dataset:
        """Read the pictures; their folders' names are the labels.

        Raises:
            StageError: the folder is missing, holds fewer than two labels or no pictures, one cannot be read,
                their sizes differ, or `dataset.json` is not as it should be.

        """
        root = Path(self.path).expanduser()
        folders = [root / name for name in SPLITS] if (root / SPLITS[0]).is_dir() else [root]
        found = [_list_pictures(folder) for folder in folders]
        paths = [path for in_folder in found for path in in_folder]
        labels = tuple(sorted({path.parent.name for path in paths}))
        if len(labels) < 2:  # noqa: PLR2004 (fewer leave nothing to tell apart)
            msg = f"{root} holds pictures of {len(labels)} labels: at least two are needed, each a folder of pictures"
            raise StageError(msg)
        images = _read_pictures(paths)
        everything = Split(images, torch.tensor([labels.index(path.parent.name) for path in paths]))
        if len(found) == 1:
            train, test = train_test_split(everything, share=self.test, seed=self.seed)
        else:
            rows = torch.arange(len(paths))
            train, test = everything.take(rows[: len(found[0])]), everything.take(rows[len(found[0]) :])
        checksum = {"pictures": _digest(root, paths)}
        info = DatasetInfo(
            name=root.name, labels=labels, shape=everything.shape, centred=_are_centred(root), sha256=checksum
        )
        return Dataset(info, train, test)


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
        msg = f'{path} must be {{"centred": true}} or {{"centred": false}}: fix or remove it'
        raise StageError(msg) from error


def _list_pictures(folder: Path) -> list[Path]:
    """Return the path of every picture, `folder/<label>/<name>`, in an order that is the same everywhere.

    Raises:
        StageError: the folder does not exist or holds no pictures.

    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder: set `download.folder.path` in params.yaml"
        raise StageError(msg)
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        msg = f"{folder} holds no pictures: put them into {folder}/<label>/*.png"
        raise StageError(msg)
    return paths


def _read_pictures(paths: list[Path]) -> Tensor:
    """Return all pictures, uint8 [N,3,H,W] where one has colours and [N,1,H,W] otherwise.

    Raises:
        StageError: one cannot be read, or its size is not that of the first.

    """
    pictures: list[Image.Image] = []
    for path in tqdm(paths, desc="pictures", delay=1, leave=False, disable=None):
        pictures.append(_open_picture(path))
        (width, height), first = pictures[-1].size, pictures[0].size
        if (width, height) != first:
            msg = f"{path} is {width}x{height}, {paths[0]} is {first[0]}x{first[1]}: all pictures must have one size"
            raise StageError(msg)
    mode = "RGB" if any(map(_has_colours, pictures)) else "L"
    images = torch.from_numpy(np.stack([np.asarray(picture.convert(mode)) for picture in pictures]))
    return images.reshape(*images.shape[:3], -1).permute(0, 3, 1, 2).contiguous()


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
        msg = f"{path} cannot be read as an image ({error}): fix or remove it"
        raise StageError(msg) from error


def _digest(root: Path, paths: list[Path]) -> str:
    """Return a SHA-256 of all names and contents."""
    digest = sha256()
    for path in paths:
        digest.update(f"{path.relative_to(root).as_posix()} {sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
