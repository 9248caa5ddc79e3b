"""Files: where they are, how a stage writes and reads them, and how it fails.

Tensor files are safetensors, never pickle, each with its kind and a checksum inside.
"""

import csv
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from inspect import Parameter, signature
from io import StringIO
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

TRAIN_FILE = Path("data/train.safetensors")
TEST_FILE = Path("data/test.safetensors")
DATASET_FILE = Path("data/dataset.json")
WEIGHTS_FILE = Path("models/weights.safetensors")
DETECTOR_FILE = Path("models/detector.safetensors")
CALIBRATION_FILE = Path("models/calibration.json")
METRICS_FILE = Path("metrics.json")
LOGITS_FILE = Path("reports/test_logits.safetensors")
MODEL_FILE = Path("serving/mnist_serving/model.onnx")
REPORTS = Path("reports")
INTERRUPTED = 130  # the exit code after Ctrl-C, as a shell has it


class StageError(Exception):
    """Something a person can fix; its text says what is wrong and what to do."""


def run(main: Callable[..., None], **arguments: str) -> None:
    """Run a stage's `main`, with what the command line gives for its `arguments`, each of which has a help text.

    A StageError or a failed file operation ends it in one line, exit code 1, and Ctrl-C in one that says what is kept,
    exit code 130. Any other argument is wrong usage, exit code 2.
    """
    name = Path(sys.argv[0]).stem
    purpose = (main.__doc__ or "").partition("\n")[0]  # and not what it raises
    parser = ArgumentParser(name, description=purpose, epilog=None if arguments else "All settings are in params.yaml.")
    for argument, meaning in arguments.items():
        optional = signature(main).parameters[argument].default is not Parameter.empty
        parser.add_argument(argument, metavar=argument.upper(), help=meaning, nargs="?" if optional else None)
    given = parser.parse_args()
    try:
        main(**{key: value for key, value in vars(given).items() if value is not None})
    except (StageError, OSError) as error:
        sys.exit(f"{name}: error: {error}")
    except KeyboardInterrupt as interrupt:
        kept = str(interrupt) or "finished stages are kept"
        print(f"\n{name}: interrupted; {kept}: `make repro` or `dvc repro` continues from there", file=sys.stderr)
        sys.exit(INTERRUPTED)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: yield a temporary name to write under, then rename.

    A kill in between leaves at most `<name>.tmp`, which the next run overwrites.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names no file
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with atomic_file(path) as unfinished:
        unfinished.write_bytes(content)


def save_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, floats with six digits after the point."""
    lines = [[f"{value:.6f}" if isinstance(value, float) else value for value in row] for row in rows]
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *lines])
    atomic_write(path, text.getvalue().encode())


def save_tensors(path: Path, kind: str, tensors: dict[str, Tensor]) -> None:
    """Write a file that names its `kind` and carries a checksum of its content.

    The metadata has one entry, `{kind: sha256}`: with more than one their order, and so the
    bytes, would change from run to run.

    Raises:
        StageError: the disk is full, or the folder read-only.

    """
    try:
        with atomic_file(path) as unfinished:
            safetensors.torch.save_file(tensors, unfinished, metadata={kind: _checksum(tensors)})
    except SafetensorError as error:
        raise StageError(f"{path} cannot be written ({error})") from error


def load_tensors(path: Path, kind: str) -> dict[str, Tensor]:
    """Read what `save_tensors` wrote under the same `kind`.

    Raises:
        StageError: the file is missing, truncated, altered or of another kind.

    """
    remedy = "delete it and run `dvc repro`"
    if not path.is_file():
        raise StageError(f"{path} is missing: run `dvc repro`")
    try:
        with safe_open(path, framework="pt") as content:
            found = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (it is not a mapping)
    except SafetensorError as error:
        raise StageError(f"{path} is truncated or not a safetensors file ({error}): {remedy}") from error
    if kind not in found:
        raise StageError(f"{path} holds {', '.join(found) or 'something unnamed'} instead of {kind}: {remedy}")
    if found[kind] != _checksum(tensors):
        raise StageError(f"{path} is corrupted, its checksum does not match: {remedy}")
    return tensors


def _checksum(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values."""
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {[*tensor.shape]} ".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
