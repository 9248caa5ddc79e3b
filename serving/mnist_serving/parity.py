"""Proof that the ONNX model is the trained one: its logits compared with those that PyTorch wrote.

Every test image goes through onnxruntime, in several batch sizes, with and without graph optimisation. The reference
logits are a file, so this needs no torch.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf, log10
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from .classifier import PACKAGED_MODEL, open_session, read_model
from .errors import FileError
from .metadata import read_contract

BATCH_SIZES = (1, 7, 64, 10_000)
MOST_NAMED = 20  # differing images in a message; the number of all is there too

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parity:
    """How far two sets of logits are apart, over all images and ways to run the model; the difference is rounded up.

    `differing` are the rows of the images whose largest logit is a different one, or whose logits differ by more than
    the tolerance.
    """

    images: int
    argmax_mismatches: int
    max_abs_logit_diff: float
    smallest_top2_margin: float
    differing: tuple[int, ...]

    @property
    def passed(self) -> bool:
        """Every argmax is equal and every difference within the tolerance."""
        return not self.differing

    def summary(self) -> str:
        """Return the outcome in one line."""
        return (
            f"parity {'passed' if self.passed else 'FAILED'}: {self.images:,} images, "
            f"{self.argmax_mismatches} argmax mismatches, largest |logit difference| {self.max_abs_logit_diff}"
        )

    def differences(self) -> str:
        """Return in one line which images differ."""
        rows = ", ".join(map(str, self.differing[:MOST_NAMED]))
        more = ", ..." if len(self.differing) > MOST_NAMED else ""
        return f"{len(self.differing):,} images differ: rows {rows}{more}"


def run_every_way(model: Path, images: npt.NDArray[np.uint8]) -> Iterator[Logits]:
    """Yield the logits, float32 [N,classes], of images uint8 [N,C,H,W], once for each way to run the model."""
    content = read_model(model)
    for optimize in (True, False):
        session = open_session(content, name=str(model), optimize=optimize)
        for size in BATCH_SIZES:
            batches = np.split(images, range(size, len(images), size))
            yield np.concatenate([session.run(["logits"], {"image": batch})[0] for batch in batches])


def compare(reference: Logits, runs: Iterator[Logits], *, tolerance: float) -> Parity:
    """Compare runs of the model with reference logits [N,classes]; NaN differs from everything."""
    guesses = reference.argmax(axis=1)
    mismatch = np.zeros(len(reference), dtype=bool)
    largest = np.zeros(len(reference), dtype=np.float32)
    for logits in runs:
        mismatch |= logits.argmax(axis=1) != guesses
        largest = np.maximum(largest, np.abs(logits - reference).max(axis=1))
    top_two = np.sort(reference, axis=1)[:, -2:]
    return Parity(
        images=len(reference),
        argmax_mismatches=int(mismatch.sum()),
        max_abs_logit_diff=round_up(float(largest.max())),
        smallest_top2_margin=float(f"{(top_two[:, 1] - top_two[:, 0]).min():.3g}"),
        differing=tuple(np.flatnonzero(mismatch | ~(largest <= tolerance)).tolist()),
    )


def round_up(difference: float) -> float:
    """Return the next power of ten: its digits depend on onnxruntime's kernels, and so on the processor."""
    return float(f"1e{ceil(log10(difference))}") if 0 < difference < inf else difference


def read_images(path: Path) -> npt.NDArray[np.uint8]:
    """Read `images`, uint8 [N,C,H,W], from a safetensors file."""
    return _read(path, "images", dtype=np.uint8, dimensions=4)[0]


def read_logits(path: Path) -> tuple[Logits, str]:
    """Read `logits`, float32 [N,classes], from a safetensors file, and the torch version in its metadata."""
    logits, metadata = _read(path, "logits", dtype=np.float32, dimensions=2)
    return logits, next(iter(metadata), "unknown").rpartition(" ")[2]


def _read(path: Path, name: str, *, dtype: type, dimensions: int) -> tuple[npt.NDArray[Any], dict[str, str]]:
    """Return a tensor and the metadata of a safetensors file.

    Raises:
        FileError: the file is missing or damaged, or its tensor has another type or shape.

    """
    from safetensors import SafetensorError, safe_open  # an extra: only this command needs it

    try:
        with safe_open(path, framework="numpy") as tensors:
            tensor, metadata = tensors.get_tensor(name), tensors.metadata() or {}
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file; `dvc repro` writes it, --{name} names another") from error
    except (OSError, SafetensorError) as error:
        raise FileError(f"{path} is not a safetensors file with `{name}`: {error}") from error
    if tensor.dtype != dtype or tensor.ndim != dimensions or tensor.size == 0:
        raise FileError(
            f"{path}: `{name}` is {tensor.dtype} {[*tensor.shape]}, should be {dtype.__name__}, {dimensions} dimensions"
        )
    return tensor, metadata


def check_parity(model: Path, *, images: Path, logits: Path, tolerance: float, report: Path | None) -> Parity:
    """Compare the model with the reference logits of the images; write the figures as JSON to `report`.

    Raises:
        FileError: a file is missing or damaged, or belongs to another model.
        ModelError: the model cannot be used.

    """
    pixels, (reference, torch_version) = read_images(images), read_logits(logits)
    if len(pixels) != len(reference):
        raise FileError(f"{images} holds {len(pixels):,} images, but {logits} the logits of {len(reference):,}")
    contract = read_contract(open_session(read_model(model), name=str(model)), name=str(model))
    _check_shape(images, pixels, contract.image_shape)
    _check_shape(logits, reference, (len(contract.labels),))
    parity = compare(reference, run_every_way(model, pixels), tolerance=tolerance)
    if report is not None:
        figures = {
            "images": parity.images,
            "argmax_mismatches": parity.argmax_mismatches,
            "max_abs_logit_diff": parity.max_abs_logit_diff,
            "smallest_top2_margin": parity.smallest_top2_margin,
            "tolerance": tolerance,
            "onnxruntime": onnxruntime.__version__,
            "torch": torch_version,
            "passed": parity.passed,
        }
        _atomic_write(report, json.dumps(figures, indent=2) + "\n")
    return parity


def _check_shape(path: Path, tensor: npt.NDArray[Any], wanted: tuple[int, ...]) -> None:
    """Compare the shape of a file's N images, or of their logits, with the model's.

    Raises:
        FileError: they differ.

    """
    if tensor.shape[1:] != wanted:
        shapes = [",".join(map(str, shape)) for shape in (tensor.shape[1:], wanted)]
        raise FileError(f"{path} belongs to another model: [N,{shapes[0]}], should be [N,{shapes[1]}]")


def _atomic_write(path: Path, text: str) -> None:
    """Write the file under a temporary name, then rename it: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def add_parity_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its flags."""
    parser.description = (
        "Compare the logits of the ONNX model with those that PyTorch wrote, in several batch sizes, with and "
        "without graph optimisation. The exit code is 1 if they differ."
    )
    parser.add_argument("--model", type=Path, default=PACKAGED_MODEL, help="an ONNX file; default: the package's")
    parser.add_argument("--images", type=Path, default="data/test.safetensors", help="default: %(default)s")
    parser.add_argument("--logits", type=Path, default="reports/test_logits.safetensors", help="default: %(default)s")
    parser.add_argument("--tolerance", type=positive, default=1e-4, help="largest |difference|; default: %(default)s")
    parser.add_argument("--report", type=Path, help="write the figures into this JSON file")
    parser.set_defaults(run=run_parity)


def positive(text: str) -> float:
    """Parse a number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def run_parity(arguments: argparse.Namespace) -> int:
    """Compare, print the outcome in one line, and name the images that differ; return the exit code."""
    parity = check_parity(
        arguments.model,
        images=arguments.images,
        logits=arguments.logits,
        tolerance=arguments.tolerance,
        report=arguments.report,
    )
    print(parity.summary())
    if parity.passed:
        return 0
    print(f"mnist-serving: {parity.differences()}", file=sys.stderr)
    return 1
