"""Programs that tests run and that are not of this package: skipped, with a sentence, where they are missing."""

import os
import shutil

import pytest

from benchmarks.peer_environments import find


def require(program: str, *, package: str | None = None) -> None:
    """Skip the test where a program of the system is missing."""
    if shutil.which(program) is None:
        pytest.skip(f"did not run: {program} is missing; on Debian: apt-get install {package or program}")
    if program == "nginx" and os.getuid() != 0:
        pytest.skip("did not run: Debian's nginx writes below /var/lib/nginx, where only root may")


def installed(environment: str, program: str = "python") -> str:
    """Return the path of a program of an environment of its own; skip the test where it was not made."""
    python = find(environment)
    if python is None:
        pytest.skip(f"did not run: `python -m benchmarks.peer_environments {environment}` installs what it needs")
    return str(python.with_name(program))
