"""The stage `download`: four IDX files become two tensor files, or a helpful message."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch

from stages import download
from stages.data import load_dataset_info, load_split
from stages.datasets.mnist import decode, import_torchvision
from stages.io import TEST_FILE, TRAIN_FILE, StageError
from tests.conftest import TEST_IMAGES, TRAIN_IMAGES, edit_params, make_digits


def test_the_two_splits_hold_what_the_files_hold(project: Path) -> None:
    download.main()
    for path, count, seed in ((TRAIN_FILE, TRAIN_IMAGES, 1), (TEST_FILE, TEST_IMAGES, 2)):
        split = load_split(project / path, load_dataset_info())
        images, labels = make_digits(count, seed)
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        assert torch.equal(split.images, torch.from_numpy(images).unsqueeze(1))
        assert torch.equal(split.labels, torch.from_numpy(labels).long())


def test_the_mirror_in_the_environment_is_tried_first(
    project: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = mirror.rename(mirror.with_name("elsewhere"))
    monkeypatch.setenv("MNIST_MIRROR", str(moved))
    download.main()
    assert f"read from {moved}" in capsys.readouterr().out
    assert (project / TRAIN_FILE).exists()


def test_without_any_source_the_error_lists_all_of_them_and_three_remedies(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_params(project, download__mnist__mirrors=["nowhere", "http://127.0.0.1:1/mnist"])
    monkeypatch.setenv("MNIST_MIRROR", "not/there")
    with pytest.raises(StageError) as caught:
        download.main()
    text = str(caught.value)
    assert "not/there: no such folder" in text
    assert "nowhere: no such folder" in text
    assert "http://127.0.0.1:1/mnist: train-images-idx3-ubyte.gz" in text
    for remedy in ("name a mirror ", "fetch files yourself ", "use other digits "):
        assert remedy in text
    assert not (project / "data").exists()


def test_two_swapped_files_are_detected(project: Path, mirror: Path) -> None:
    train, test = mirror / "train-images-idx3-ubyte.gz", mirror / "t10k-images-idx3-ubyte.gz"
    content = train.read_bytes()
    train.write_bytes(test.read_bytes())
    test.write_bytes(content)
    with pytest.raises(StageError, match=r"train-images-idx3-ubyte.gz is incomplete or a different file"):
        download.main()
    assert not (project / "data").exists()


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b junk", b"plain text"])
def test_files_with_the_right_checksum_that_are_not_idx_files_are_rejected(
    project: Path, mirror: Path, idx_files: dict[str, bytes], content: bytes
) -> None:
    name = "train-labels-idx1-ubyte.gz"
    (mirror / name).write_bytes(content)
    files = idx_files | {name: content}
    edit_params(project, download__mnist__sha256={key: sha256(value).hexdigest() for key, value in files.items()})
    with pytest.raises(StageError, match="not in the MNIST format"):
        download.main()


def test_a_type_that_torchvision_rejects_is_reported_as_our_error(idx_files: dict[str, bytes]) -> None:
    import_torchvision()
    from torchvision.datasets import MNIST

    labels = idx_files["train-labels-idx1-ubyte.gz"]
    with pytest.raises(StageError, match="not in the MNIST format"):
        decode(idx_files | {"train-images-idx3-ubyte.gz": labels}, MNIST)
