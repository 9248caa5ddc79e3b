"""The errors that a person can fix, and how a command reports them."""

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

SIGPIPE = 13  # which Windows does not have
INSTALLED_AS = {"PIL": "pillow", "safetensors": "safetensors"}  # packages that only some commands need


class MnistServingError(Exception):
    """The base of the package's errors; the message says what is wrong and what to do."""


class ModelError(MnistServingError):
    """The model file cannot be used."""


class FileError(MnistServingError):
    """A file cannot be read, or does not hold what it should."""


def exit_with(command: Callable[[], int]) -> NoReturn:
    """End the program with a command's exit code.

    An error that a person can fix is one line, and exit code 1. An interrupt ends it silently, and so does a reader
    that takes no more, such as `head`; the exit codes are those of the signals, as a shell reports them.
    """
    try:
        code = command()
        if sys.stdout:  # there is none where the caller has closed it
            sys.stdout.flush()
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where Python flushes the rest at its end
        sys.exit(128 + SIGPIPE)
    except ModuleNotFoundError as error:
        if error.name not in INSTALLED_AS:
            raise
        print(f"mnist-serving: error: this needs {error.name}: pip install {INSTALLED_AS[error.name]}", file=sys.stderr)
    except (MnistServingError, OSError) as error:
        print(f"mnist-serving: error: {error}", file=sys.stderr)
    sys.exit(1)
