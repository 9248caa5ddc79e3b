"""Several processes behind one socket: started one after the other, replaced when they die, ended together.

Workers also end when the process that started them is gone, even by kill -9: nobody would end them else.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

logger = logging.getLogger("mnist_serving.http")

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CANNOT_START = 1  # a worker's exit code when it has said why
IN_ORDER = (0, -signal.SIGTERM)  # exit codes: finished, or ended before it had begun to serve
LOOK_SECONDS = 0.2  # between looks at whether a signal has come, and at whether the supervisor lives

Work = Callable[[Callable[[], None]], int]


def run_workers(work: Work, listener: socket.socket, *, count: int) -> int:
    """Run `work` in several processes until a signal comes.

    Args:
        work: serves until SIGTERM and returns an exit code; it calls its argument once it is ready. It must be
            the first to import the metrics, which then add up over the workers.
        listener: inherited by the workers, and closed here at the end, so that it ends with theirs.
        count: how many processes.

    Returns:
        0 when all ended in order, 1 when a worker could not start or did not end in order.

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
                self._end_all()
                return 1
            if len(self._workers) == self._count:
                wait([worker.sentinel for worker in self._workers], timeout=LOOK_SECONDS)
            self._forget_dead()
        return self._end_all()

    def _start(self) -> bool:
        """Start a worker and wait until it is ready; return whether there is a point in going on.

        There is none when it ended first: the next one would end the same, and so on for ever.
        """
        ready, said = self._context.Pipe(duplex=False)
        worker = self._context.Process(target=_run_worker, args=(self._work, said.send_bytes, os.getpid()))
        worker.start()
        said.close()
        self._workers.append(worker)
        if self._stopping:  # the signal came too early to reach this one
            worker.terminate()
        with ready, contextlib.suppress(EOFError):
            ready.recv_bytes()
            return True
        worker.join()  # it ended first
        if not self._stopping and worker.exitcode != CANNOT_START:
            logger.error("worker %s died with code %s before it was ready; all end", worker.pid, worker.exitcode)
        return self._stopping

    def _forget_dead(self) -> None:
        """Make room for others, except at the end: then exit codes count."""
        from prometheus_client.multiprocess import mark_process_dead

        for worker in [worker for worker in self._workers if not (self._stopping or worker.is_alive())]:
            self._workers.remove(worker)
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
        """Wait for the end of all workers; return 1 when one of them did not end in order."""
        for worker in self._workers:
            if not self._stopping:  # else they have had their signal, and a second would end them at once
                worker.terminate()
        for worker in self._workers:
            worker.join()
        return int(any(worker.exitcode not in IN_ORDER for worker in self._workers))


def _run_worker(work: Work, say: Callable[[bytes], None], supervisor: int) -> None:
    """Be a worker, in a process group of its own: Ctrl-C reaches it through the supervisor, once."""
    os.setpgrp()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_after, args=(supervisor,), daemon=True).start()
    raise SystemExit(work(lambda: say(b"ready")))


def _end_after(supervisor: int) -> None:
    """Send this process SIGTERM when the one that started it is gone."""
    while os.getppid() == supervisor:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
