"""One run of the model for all requests that have arrived, without ever waiting for more."""

import asyncio
from collections.abc import Callable

import numpy as np

from mnist_serving.http.http_types import Answers, Job
from mnist_serving.http.service import Service

Done = Callable[[Answers | None], None]


class Batcher:
    """Gathers the jobs of one turn of the event loop.

    A turn first reads from every socket that has something, then runs this: under load the model gets many
    images at once, which costs little more than one; a lone request waits for nobody.
    """

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        """Take the service whose model runs, and the loop whose turns count."""
        self._service = service
        self._loop = loop
        self._waiting: list[tuple[Job, Done]] = []

    def add(self, job: Job, done: Done) -> None:
        """Run a job at the end of this turn, and call `done` with its answers."""
        if not self._waiting:
            self._loop.call_soon(self._run)
        self._waiting.append((job, done))

    def _run(self) -> None:
        jobs, self._waiting = self._waiting, []
        most = self._service.limits.images
        while jobs:
            taken = size = 0
            while taken < len(jobs) and (taken == 0 or size + len(jobs[taken][0].images) <= most):
                size += len(jobs[taken][0].images)
                taken += 1
            self._run_together(jobs[:taken])
            jobs = jobs[taken:]

    def _run_together(self, jobs: list[tuple[Job, Done]]) -> None:
        """Run the model once, and give each job its part of the answers."""
        if len(jobs) == 1:
            job, done = jobs[0]
            done(self._service.predict(job.images))
            return
        answers = self._service.predict(np.concatenate([job.images for job, _ in jobs]))
        first = 0
        for job, done in jobs:
            part = slice(first, first + len(job.images))
            first = part.stop
            done(None if answers is None else answers.part(part))
