"""Your own pictures: `<split>/<label>/*.png`, or `<label>/*.png`, of which some are drawn for the test set.

They are read by the package's own function, so that the model is asked about what it has learned from.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import torch
from mnist_serving.images import MODES, as_image, decode
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from stages.config import Part, Section, Seed
from stages.data import Dataset, DatasetInfo, Split, train_test_split
from stages.io import StageError

SPLITS = ("train", "test")
SUFFIXES = {".png", ".jpg", ".jpeg"}
ONE_SIZE = "all have to be of one size"


class Folder(Section):
    """Pictures under `path`, grey or colour, all of one size; `test` and `seed` serve where no split is given."""

    path: str
    test: Part
    seed: Seed

    def load(self) -> Dataset:
        """Read the pictures; their folders' names are the labels.

        Raises:
            StageError: the folder is missing, holds fewer than two labels or no pictures, one cannot be read,
                or their sizes differ.

        """
        root = Path(self.path).expanduser()
        roots = [root / name for name in SPLITS] if (root / SPLITS[0]).is_dir() else [root]
        found = [_list_pictures(folder) for folder in roots]
        labels = tuple(sorted({label for pictures in found for label, _ in pictures}))
        if len(labels) < 2:  # noqa: PLR2004 (fewer leave nothing to tell apart)
            msg = f"{root} holds pictures of {len(labels)} labels; wanted are two at least, each a folder of pictures"
            raise StageError(msg)
        channels = max(_channels(path) for pictures in found for _, path in pictures)
        splits = [_read_pictures(pictures, labels, channels) for pictures in found]
        if len(splits) == 1:
            splits = [*train_test_split(splits[0], share=self.test, seed=self.seed)]
        train, test = splits
        if train.shape != test.shape:
            msg = f"{root}: training pictures are {_size(train.shape)}, test pictures {_size(test.shape)}: {ONE_SIZE}"
            raise StageError(msg)
        info = DatasetInfo(
            name=root.name,
            labels=labels,
            shape=train.shape,
            centred=False,
            sha256={"pictures": _digest(root, found)},
        )
        return Dataset(info, train, test)


def _list_pictures(folder: Path) -> list[tuple[str, Path]]:
    """Return label and path of every picture, in an order that is the same everywhere.

    Raises:
        StageError: there is no such folder, or none in it.

    """
    if not folder.is_dir():
        msg = f"{folder} is no folder: params.yaml, `download.folder.path`"
        raise StageError(msg)
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        msg = f"{folder} holds no pictures: wanted are {folder}/<label>/*.png"
        raise StageError(msg)
    return [(path.parent.name, path) for path in paths]


def _channels(path: Path) -> int:
    """Return 3 for a picture in colour, 1 for a grey one.

    Raises:
        StageError: it is no picture.

    """
    try:
        with Image.open(path) as picture:
            return 1 if picture.mode in {"1", "L", "LA", "I;16", "I"} else 3
    except (OSError, UnidentifiedImageError) as error:
        msg = f"{path} is no picture that can be read: mend or remove it"
        raise StageError(msg) from error


def _read_pictures(pictures: list[tuple[str, Path]], labels: tuple[str, ...], channels: int) -> Split:
    """Read all as uint8 [N,channels,H,W].

    Raises:
        StageError: one cannot be read, or is of another size than the first.

    """
    arrays: list[torch.Tensor] = []
    for _, path in tqdm(pictures, desc="pictures", delay=1, leave=False, disable=None):
        try:
            image = torch.from_numpy(as_image(decode(path.read_bytes(), MODES[channels])).copy())
        except ValueError as error:
            msg = f"{path} is no picture that can be read, {error}: mend or remove it"
            raise StageError(msg) from error
        if arrays and image.shape != arrays[0].shape:
            msg = f"{path} is {_size(image.shape)}, the first picture is {_size(arrays[0].shape)}: {ONE_SIZE}"
            raise StageError(msg)
        arrays.append(image)
    return Split(torch.stack(arrays), torch.tensor([labels.index(label) for label, _ in pictures]))


def _size(shape: Sequence[int]) -> str:
    """Say width and height of a picture [C,H,W] as people do."""
    return f"{shape[2]}x{shape[1]}"


def _digest(root: Path, found: list[list[tuple[str, Path]]]) -> str:
    """Return a SHA-256 of all names and contents."""
    digest = sha256()
    for _, path in (picture for pictures in found for picture in pictures):
        digest.update(f"{path.relative_to(root).as_posix()} {sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
