"""Tensor files: safetensors, never pickle, each with its kind and a checksum inside."""

import json
from hashlib import sha256
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from stages.stage import StageError, write_whole


def save_tensors(path: Path, kind: str, tensors: dict[str, Tensor]) -> None:
    """Write a file that names its `kind` and carries a checksum of its content.

    The metadata has one entry, `{kind: sha256}`: with more than one their order, and so the
    bytes, would change from run to run.
    """
    write_whole(path, safetensors.torch.save(tensors, metadata={kind: _checksum(tensors)}))


def load_tensors(path: Path, kind: str) -> dict[str, Tensor]:
    """Read what `save_tensors` wrote under the same `kind`.

    Raises:
        StageError: the file is missing, truncated, altered or of another kind.

    """
    mend = "delete it and run `dvc repro`"
    if not path.is_file():
        msg = f"{path} is missing: run `dvc repro`"
        raise StageError(msg)
    content = path.read_bytes()
    try:
        tensors = safetensors.torch.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError) as error:
        msg = f"{path} is truncated or no safetensors file ({error}): {mend}"
        raise StageError(msg) from error
    found = header.get("__metadata__", {})
    if kind not in found:
        msg = f"{path} holds {', '.join(found) or 'something unnamed'} where {kind} should be: {mend}"
        raise StageError(msg)
    if found[kind] != _checksum(tensors):
        msg = f"{path} is corrupted, its checksum does not match: {mend}"
        raise StageError(msg)
    return tensors


def _checksum(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    return sha256(safetensors.torch.save(tensors)).hexdigest()
