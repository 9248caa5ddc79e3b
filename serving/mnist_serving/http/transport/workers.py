"""Several processes behind one socket: started one after the other, replaced when they die, ended together.

Workers also end when the process that started them is gone, even by kill -9: otherwise nobody would end them.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait
from types import FrameType
from typing import TYPE_CHECKING

from .signals import stop_signals

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

logger = logging.getLogger("mnist_serving.http")

CANNOT_START = 1  # a worker's exit code when it has said why
CLEAN_EXITS = (0, -signal.SIGTERM)  # exit codes: finished, or ended before it began to serve
LOOK_SECONDS = 0.2  # between looks for a signal, and for whether the supervisor is still alive
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds before a replacement that could not start is tried again

Work = Callable[[int, Callable[[], None]], int]


class Supervisor:
    """Keeps workers running; its own process serves nothing.

    Args:
        work: serves until SIGTERM and returns an exit code; takes the worker's place, from 0, which a replacement
            inherits, and what to call once it is ready.
        listeners: inherited by the workers; closed here at the signal, so that they close when the workers end.
        count: how many workers.

    """

    def __init__(self, work: Work, listeners: list[socket.socket], *, count: int) -> None:
        self._work = work
        self._listeners = listeners
        self._count = count
        self._context = multiprocessing.get_context("fork")  # workers inherit the listening socket
        self._workers: dict[int, ForkProcess] = {}  # by place
        self._stop_signals = stop_signals()
        self._stopping = False
        self._served = False  # a worker has been ready
        self._pause = FIRST_PAUSE
        self._next_start = 0.0  # on the clock `time.monotonic`

    def run(self) -> int:
        """Start the workers, replace those that die, and end them at a signal.

        A replacement that cannot start is tried again, after pauses that grow, as long as another worker serves.

        Returns:
            0 if all workers ended cleanly, 1 if none could start or one did not end cleanly.

        """
        for number in self._stop_signals:
            signal.signal(number, self._stop)
        while not self._stopping:
            if len(self._workers) < self._count and time.monotonic() >= self._next_start and not self._start():
                if not self._workers:
                    if self._served:
                        logger.error("no worker is left and none can start; the server ends")
                    return 1
                logger.error("a worker could not start; the next try is in %g s", self._pause)
                self._next_start = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            if len(self._workers) == self._count or time.monotonic() < self._next_start:
                wait([worker.sentinel for worker in self._workers.values()], timeout=LOOK_SECONDS)
            self._forget_dead()
        return self._end_all()

    def _start(self) -> bool:
        """Start a worker and wait until it is ready; return whether it is, or a signal has arrived."""
        ready, said = self._context.Pipe(duplex=False)
        place = next(place for place in range(self._count) if place not in self._workers)
        work = partial(self._work, place, lambda: said.send_bytes(b"ready"))
        worker = self._context.Process(target=_run_worker, args=(work, os.getpid()))
        # Signals wait until this process knows the worker, and the worker no longer has the handler of this process.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._stop_signals)
        worker.start()
        self._workers[place] = worker
        if self._stopping:  # the signal arrived before that
            worker.terminate()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._stop_signals)
        said.close()
        with ready, contextlib.suppress(EOFError):
            ready.recv_bytes()
            self._served, self._pause = True, FIRST_PAUSE
            return True
        worker.join()  # it ended first
        if self._stopping:
            return True
        del self._workers[place]
        if worker.exitcode != CANNOT_START:
            logger.error("worker %s died with code %s before it was ready", worker.pid, worker.exitcode)
        return False

    def _forget_dead(self) -> None:
        """Make room for others, except during the shutdown, when exit codes count."""
        for place, worker in list(self._workers.items()):
            if not (self._stopping or worker.is_alive()):
                del self._workers[place]
                logger.warning("worker %s died with code %s; starting another", worker.pid, worker.exitcode)

    def _stop(self, number: int, _: FrameType | None) -> None:
        """Pass the first signal on, so that the workers finish; at the second, kill everything."""
        for worker in self._workers.values():
            if worker.is_alive():
                (worker.kill if self._stopping else worker.terminate)()
        if self._stopping:
            logger.warning("%s arrived, the second signal; ending at once", signal.Signals(number).name)
            os._exit(128 + number)
        logger.info("%s arrived; the workers finish their requests", signal.Signals(number).name)
        self._stopping = True
        for listener in self._listeners:
            listener.close()

    def _end_all(self) -> int:
        """Wait until all workers have ended; return 1 if one of them did not end cleanly."""
        for worker in self._workers.values():
            if not self._stopping:  # otherwise they have their signal, and a second would end them at once
                worker.terminate()
        unclean = 0
        for worker in self._workers.values():
            worker.join()
            if worker.exitcode not in CLEAN_EXITS:
                logger.error("worker %s died with code %s before it was done", worker.pid, worker.exitcode)
                unclean = 1
        return unclean


def _run_worker(work: Callable[[], int], supervisor: int) -> None:
    """Run as a worker, in its own process group: Ctrl-C reaches it once, through the supervisor."""
    os.setpgrp()
    for number in stop_signals():
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stop_signals())
    threading.Thread(target=_end_after, args=(supervisor,), daemon=True).start()
    raise SystemExit(work())


def _end_after(supervisor: int) -> None:
    """Send this process SIGTERM once the supervisor is gone."""
    while os.getppid() == supervisor:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
