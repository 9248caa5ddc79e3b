"""MNIST and the data sets of the same format: four gzipped IDX files, checked by their checksums, read by torchvision.

The first mirror that has all four serves: `$MNIST_MIRROR`, a folder or a URL, is tried before the data set's own.
"""

import gzip
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch.library import Library

from stages.config import Section
from stages.data import Dataset, DatasetInfo, Split
from stages.datasets.mirrors import MirrorError, fetch_from_first
from stages.io import StageError

Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
IdxFile = Annotated[str, Field(pattern=r"^(train|t10k)-(images-idx3|labels-idx1)-ubyte\.gz$")]

NO_MIRROR = """no mirror has all four files:
{failures}
Do one of these:
  name a mirror         MNIST_MIRROR=https://host/folder make repro
  fetch files yourself  with a browser, then MNIST_MIRROR=/folder/with/them make repro
  use other digits      also handwritten, no network needed: make repro DATA=uci_digits"""

_NOT_IDX = (AssertionError, EOFError, KeyError, RuntimeError, TypeError, ValueError, gzip.BadGzipFile, zlib.error)


class FashionMnist(Section):
    """Articles of clothing (Xiao et al. 2017), from torchvision's mirrors, with its MD5 checksums."""

    name: ClassVar[str] = "FashionMNIST"  # the class in torchvision
    labels: ClassVar[tuple[str, ...]] = (
        *("T-shirt", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )
    centred: ClassVar[bool] = False

    def load(self) -> Dataset:
        """Fetch, check and read the files.

        Raises:
            StageError: no mirror has all files, or they are not in the MNIST format.

        """
        import_torchvision()
        from torchvision import datasets

        kind = getattr(datasets, self.name)
        mirrors, checksums = self.sources(kind)
        own_mirror = os.environ.get("MNIST_MIRROR")
        try:
            files = fetch_from_first([own_mirror, *mirrors] if own_mirror else mirrors, checksums)
        except MirrorError as error:
            raise StageError(NO_MIRROR.format(failures=error)) from error
        train, test = decode(files, kind)
        info = DatasetInfo(
            name=self.name, labels=self.labels, shape=train.shape, centred=self.centred, sha256=checksums
        )
        return Dataset(info, train, test)

    def sources(self, kind: Any) -> tuple[tuple[str, ...], dict[str, str]]:  # noqa: ANN401 (a class without types)
        """Return mirrors, and checksums by file name, of a class of torchvision's."""
        return tuple(kind.mirrors), dict(kind.resources)


class Kmnist(FashionMnist):
    """Ten Japanese characters in old handwriting (Clanuwat et al. 2018)."""

    name = "KMNIST"
    labels = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class Mnist(FashionMnist):
    """Handwritten digits (LeCun et al. 1998): mirrors, and SHA-256 by file name."""

    name = "MNIST"
    labels = tuple("0123456789")
    centred = True

    mirrors: Names
    sha256: Annotated[dict[IdxFile, Sha256], Field(min_length=4)]

    def sources(self, kind: Any) -> tuple[tuple[str, ...], dict[str, str]]:  # noqa: ANN401, ARG002
        """Return what `params.yaml` says."""
        return self.mirrors, self.sha256


def import_torchvision() -> None:
    """Import torchvision even if its compiled extension was built for another torch.

    A CUDA build beside a CPU torch fails on two operators. Reading a data set does not need them, so it is enough to
    declare them (https://github.com/pytorch/vision/issues/9077).
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        declared = Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept_alive.append(declared)


_kept_alive: list[Library] = []  # a Library's declarations end with it


def decode(files: Mapping[str, bytes], kind: Any) -> tuple[Split, Split]:  # noqa: ANN401
    """Read gzipped IDX files, by name, with a class of torchvision's; return the training and the test split.

    Raises:
        StageError: torchvision cannot read them.

    """
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, kind.__name__, "raw")
        raw.mkdir(parents=True)
        try:
            for name, content in files.items():
                (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
            train, test = kind(folder, train=True), kind(folder, train=False)
        except _NOT_IDX as error:
            raise StageError(f"the files are not in the MNIST format: {error or type(error).__name__}") from error
    return Split(train.data.unsqueeze(1), train.targets), Split(test.data.unsqueeze(1), test.targets)
