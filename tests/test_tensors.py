"""Tensor files notice truncation, corruption and exchange, and have the same bytes every time."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stages.io import StageError, load_tensors, save_tensors

TENSORS = {"a": torch.arange(60, dtype=torch.uint8), "b": torch.linspace(0, 1, 7)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "file.safetensors"
    save_tensors(path, "weights", TENSORS)
    return path


def test_what_was_saved_comes_back(saved: Path) -> None:
    loaded = load_tensors(saved, "weights")
    assert loaded.keys() == TENSORS.keys()
    assert all(torch.equal(loaded[name], TENSORS[name]) for name in TENSORS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"none\.safetensors is missing: run `dvc repro`"):
        load_tensors(tmp_path / "none.safetensors", "weights")


@pytest.mark.parametrize("length", [0, 4, 20, 200, -1])
def test_a_truncated_file_is_named(saved: Path, length: int) -> None:
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(StageError, match=r"file\.safetensors is truncated"):
        load_tensors(saved, "weights")


def test_one_flipped_bit_is_noticed(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(StageError, match="corrupted"):
        load_tensors(saved, "weights")


def test_a_file_of_another_kind_is_named(saved: Path) -> None:
    with pytest.raises(StageError, match="holds weights instead of test split"):
        load_tensors(saved, "test split")


def test_a_pickle_is_refused_without_being_unpickled(saved: Path) -> None:
    torch.save(TENSORS, saved)
    with pytest.raises(StageError, match="not a safetensors file"):
        load_tensors(saved, "weights")


def test_the_bytes_are_the_same_in_another_process(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    code = (
        "from pathlib import Path; from stages.io import load_tensors, save_tensors;"
        f"save_tensors(Path({str(other)!r}), 'weights', load_tensors(Path({str(saved)!r}), 'weights'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert other.read_bytes() == saved.read_bytes()
