"""What can go wrong in a way that a person can mend, and how a command says so."""

import sys
from collections.abc import Callable
from typing import NoReturn

EXTRAS = {"PIL": "images", "safetensors": "parity"}  # what installs a package that the core does without


class MnistServingError(Exception):
    """The base of the package's errors; the text says what is wrong and what to do."""


class ModelError(MnistServingError):
    """The model file cannot be used."""


class FileError(MnistServingError):
    """A file cannot be read, or is not what it should be."""


def exit_with(command: Callable[[], int]) -> NoReturn:
    """End the program with a command's exit code; an error that a person can mend is one line, exit code 1."""
    try:
        sys.exit(command())
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        print(
            f"mnist-serving: error: this needs {error.name}: pip install 'mnist-serving[{EXTRAS[error.name]}]'",
            file=sys.stderr,
        )
    except (MnistServingError, OSError) as error:
        print(f"mnist-serving: error: {error}", file=sys.stderr)
    sys.exit(1)
