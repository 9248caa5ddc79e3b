"""Processes that tests have started and not ended: none may be left after a run."""

import psutil

from tests import MARK


def leftovers() -> list[psutil.Process]:
    """Return the living descendants of this process, and what has lost its parents but carries the mark of this run."""
    processes = {*psutil.Process().children(recursive=True), *filter(_is_marked, psutil.process_iter())}
    return [process for process in processes if process.pid != psutil.Process().pid and _is_alive(process)]


def describe(process: psutil.Process) -> str:
    """Return a process's id and command line."""
    try:
        return f"{process.pid}: {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{process.pid}: it has just ended"


def _is_marked(process: psutil.Process) -> bool:
    name, value = MARK
    try:
        return process.environ().get(name) == value
    except (psutil.Error, OSError):  # another user's, or it has just ended
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
