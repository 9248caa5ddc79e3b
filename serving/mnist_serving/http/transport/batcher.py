"""One run for all jobs that have arrived, without ever waiting for more."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Batcher(Generic[Job, Result]):
    """Gathers the jobs of one turn of the event loop and has them done together.

    A turn first reads from every socket that has something, then runs this: under load a run gets many jobs, and
    many images cost a model little more than one does. A lone job waits for nobody.
    """

    def __init__(self, run: Callable[[list[Job]], Iterable[Result]], loop: asyncio.AbstractEventLoop) -> None:
        """Take what does the jobs, giving a result for each in their order, and the loop whose turns count."""
        self.loop = loop
        self._run = run
        self._waiting: list[tuple[Job, Callable[[Result], None]]] = []

    def add(self, job: Job, done: Callable[[Result], None]) -> None:
        """Do a job at the end of this turn, and call `done` with its result."""
        if not self._waiting:
            self.loop.call_soon(self._run_waiting)
        self._waiting.append((job, done))

    def _run_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        results = self._run([job for job, _ in waiting])
        for (_, done), result in zip(waiting, results, strict=True):
            done(result)
