"""What many files take: several threads, and a bar on a terminal, both only after two seconds."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import TypeVar

PATIENCE = 2.0  # seconds, after which threads and a bar are worth their while
THREADS = min(6, os.cpu_count() or 1)  # reading a picture holds the interpreter's lock for a seventh of the time
WIDTH = 40  # of the bar

Answer = TypeVar("Answer")


def in_order(ask: Callable[[str], Answer], files: Sequence[str]) -> Iterator[Answer]:
    """Yield what `ask` returns for each file, in their order; in threads, if there are files left after two seconds.

    Whoever stops early, or interrupts, waits for the files that the threads are reading, and for no others.
    """
    begin, done = monotonic(), 0
    while done < len(files) and monotonic() - begin < PATIENCE:
        yield ask(files[done])
        done += 1
    if done < len(files):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(THREADS) as threads:
            yield from threads.map(ask, files[done:])


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
