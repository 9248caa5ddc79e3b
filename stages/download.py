"""Stage `download`: the four MNIST files, checked, as one tensor file a split.

They come from the first mirror that has them whole: `$MNIST_MIRROR`, then `download.mirrors`.
"""

import gzip
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from torch.library import Library

from stages.data import Split, save_split
from stages.mirrors import MirrorError, fetch_from_first
from stages.params import load_params
from stages.stage import TEST_FILE, TRAIN_FILE, StageError, run

NO_MIRROR = """no source has the four files whole:
{failures}
Three ways on:
  a mirror          MNIST_MIRROR=https://host/folder make repro
  files by hand     fetch them with a browser, then MNIST_MIRROR=/folder/with/them make repro
  another data set  any four files of the same names and format (Fashion-MNIST, KMNIST, your own):
                    their SHA-256 into params.yaml under download.sha256, then as above"""

_NOT_IDX = (AssertionError, EOFError, KeyError, RuntimeError, TypeError, ValueError, gzip.BadGzipFile, zlib.error)


def import_torchvision() -> None:
    """Import torchvision also where its compiled extension was built for another torch.

    A CUDA build beside a CPU torch fails on two operators, which reading a data set does not
    need: declaring them is enough (https://github.com/pytorch/vision/issues/9077).
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        declared = Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept_alive.append(declared)


_kept_alive: list[Library] = []  # a Library takes its declarations with it when it goes


def decode(files: Mapping[str, bytes]) -> tuple[Split, Split]:
    """Read the gzipped IDX files, by name, with torchvision; return the training and the test split.

    Raises:
        StageError: torchvision does not take them for files of the MNIST format.

    """
    import_torchvision()
    from torchvision.datasets import MNIST

    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "MNIST", "raw")
        raw.mkdir(parents=True)
        try:
            for name, content in files.items():
                (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
            train, test = MNIST(folder, train=True), MNIST(folder, train=False)
        except _NOT_IDX as error:
            msg = f"the files are not of the MNIST format: {error or type(error).__name__}"
            raise StageError(msg) from error
    return Split(train.data.unsqueeze(1), train.targets), Split(test.data.unsqueeze(1), test.targets)


def main() -> None:
    """Write `data/train.safetensors` and `data/test.safetensors`."""
    params = load_params().download
    own_mirror = os.environ.get("MNIST_MIRROR")
    mirrors = [own_mirror, *params.mirrors] if own_mirror else params.mirrors
    try:
        files = fetch_from_first(mirrors, params.sha256)
    except MirrorError as error:
        raise StageError(NO_MIRROR.format(failures=error)) from error
    train, test = decode(files)
    save_split(TRAIN_FILE, train)
    save_split(TEST_FILE, test)
    print(f"{len(train.labels):,} training and {len(test.labels):,} test images")


if __name__ == "__main__":
    run(main)
