"""What many files take: several processes, and a bar on a terminal, both only after two seconds."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, TypeVar

from .errors import FileError

PATIENCE = 2.0  # seconds, after which processes and a bar are worth their while
# One for each core that this one may use; threads wait for the interpreter's lock: two take as long as one.
PROCESSES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
WIDTH = 40  # of the bar

Answer = TypeVar("Answer")


def in_order(ask: Callable[[str], Answer], files: Sequence[str]) -> Iterator[Answer]:
    """Yield what `ask` returns for each file, in their order; in processes, if there are files left after two seconds.

    Whoever stops early, or interrupts, waits for the files that the processes are reading, and for no others.

    Raises:
        FileError: a process was ended from outside.

    """
    begin, done = monotonic(), 0
    while done < len(files) and monotonic() - begin < PATIENCE:
        yield ask(files[done])
        done += 1
    if done < len(files):
        from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor

        try:
            with ProcessPoolExecutor(PROCESSES, initializer=_begin, initargs=(ask,)) as processes:
                yield from processes.map(_ask, files[done:], chunksize=4)
        except BrokenProcessPool as error:
            raise FileError(
                "a process that was reading pictures was ended from outside, perhaps for lack of memory: run it again"
            ) from error


def _begin(ask: Callable[[str], Any]) -> None:
    """Prepare a process: it leaves Ctrl-C to the one that started it, and ends when that is gone."""
    import multiprocessing
    import threading

    def end_with_parent() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    _asked.append(ask)


def _ask(file: str) -> Any:  # noqa: ANN401 (whatever the function returns that the process was given)
    return _asked[-1](file)


_asked: list[Callable[[str], Any]] = []


class Bar:
    """How many of `total` are done, on standard error, if it is a terminal and the answers do not go there as well."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._next = monotonic() + PATIENCE if sys.stderr.isatty() and not sys.stdout.isatty() else float("inf")
        self._drawn = ""

    def update(self, done: int) -> None:
        """Draw it, ten times a second at most."""
        if monotonic() >= self._next:
            self._next = monotonic() + 0.1
            self._drawn = f"[{'#' * (WIDTH * done // self._total):{WIDTH}}] {done:,} of {self._total:,}"
            print(f"\r{self._drawn}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove it, so that a message can take its line."""
        if self._drawn:
            print(f"\r{'':{len(self._drawn)}}\r", end="", file=sys.stderr, flush=True)
            self._drawn = ""
