"""Several processes behind one socket: started one after the other, replaced when they die, ended together."""

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from multiprocessing.connection import wait
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

logger = logging.getLogger("mnist_serving.http")

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CANNOT_START = 1  # a worker's exit code when another try would end the same
LOOK_SECONDS = 0.2  # between looks at whether a signal has come

Work = Callable[[Callable[[], None]], int]


def run_workers(work: Work, listener: socket.socket, *, count: int) -> int:
    """Run `work` in several processes until a signal comes.

    Args:
        work: serves until SIGTERM and returns an exit code; it calls its argument once it is ready. It must be
            the first to import the metrics, which then add up over the workers.
        listener: inherited by the workers, and closed here at the end, so that it ends with theirs.
        count: how many processes.

    Returns:
        0 when all ended in order, 1 when a worker could not start.

    """
    with tempfile.TemporaryDirectory(prefix="mnist-serving-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        return Supervisor(work, listener, count=count).run()


class Supervisor:
    """Keeps workers running; its own process serves nothing."""

    def __init__(self, work: Work, listener: socket.socket, *, count: int) -> None:
        """Take the work; nothing is started yet."""
        self._work = work
        self._listener = listener
        self._count = count
        self._context = multiprocessing.get_context("fork")  # the listening socket goes along
        self._workers: list[ForkProcess] = []
        self._stopping = False

    def run(self) -> int:
        """Start the workers, replace those that die, end them at a signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            if len(self._workers) < self._count and not self._start():
                return max(self._end_all(), CANNOT_START)
            if len(self._workers) == self._count:
                wait([worker.sentinel for worker in self._workers], timeout=LOOK_SECONDS)
            self._forget_dead()
        return self._end_all()

    def _start(self) -> bool:
        """Start a worker and wait until it is ready; return whether there is a point in going on."""
        ready, said = self._context.Pipe(duplex=False)
        worker = self._context.Process(target=_run_worker, args=(self._work, said.send_bytes))
        worker.start()
        said.close()
        self._workers.append(worker)
        if self._stopping:  # the signal came too early to reach this one
            worker.terminate()
        try:
            ready.recv_bytes()
        except EOFError:  # it ended first
            worker.join()
            return self._stopping or worker.exitcode != CANNOT_START
        finally:
            ready.close()
        return True

    def _forget_dead(self) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        for worker in [worker for worker in self._workers if not worker.is_alive()]:
            self._workers.remove(worker)
            if not self._stopping:
                logger.warning("worker %s died with code %s; another one starts", worker.pid, worker.exitcode)
                mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]

    def _stop(self, number: int, _: FrameType | None) -> None:
        """Pass the first signal on, so that the workers finish; at the second, end everything."""
        for worker in self._workers:
            if worker.is_alive():
                (worker.kill if self._stopping else worker.terminate)()
        if self._stopping:
            os._exit(128 + number)
        self._stopping = True
        self._listener.close()

    def _end_all(self) -> int:
        """Wait for the end of all workers; return the worst of their exit codes."""
        for worker in self._workers:
            if not self._stopping:  # else they have had their signal, and a second would end them at once
                worker.terminate()
        for worker in self._workers:
            worker.join()
        return max((worker.exitcode or 0 for worker in self._workers), default=0)


def _run_worker(work: Work, say: Callable[[bytes], None]) -> None:
    """Be a worker, in a process group of its own: Ctrl-C reaches it through the supervisor, once."""
    os.setpgrp()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise SystemExit(work(lambda: say(b"ready")))
