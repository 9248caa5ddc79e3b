"""The server: listens, has the model loaded, watches deadlines, and finishes what it has begun before it ends."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING

from mnist_serving.http.http_types import Job, Request, Response
from mnist_serving.http.service import Service

from .batcher import Batcher
from .connection import Connection

if TYPE_CHECKING:
    from mnist_serving.classifier import Classifier

logger = logging.getLogger("mnist_serving.http")

SWEEP_SECONDS = 0.25  # between looks at the deadlines
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Ending:
    """How long the end takes: seconds after the signal.

    Attributes:
        linger: new connections are still taken, so that whoever asks learns that the server is not ready.
        grace: all is over.

    """

    linger: float
    grace: float


class Host:
    """What all connections of a process share."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        """Make a host without connections."""
        self.service = service
        self.loop = loop
        self.batcher = Batcher(service, loop)
        self.connections: set[Connection] = set()
        self.draining = False
        self.in_flight = 0
        self.date = formatdate(usegmt=True)
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")

    def count_in_flight(self, change: int) -> None:
        """Note that a request with a body has come, +1, or is answered, -1."""
        self.in_flight += change
        self.service.metrics.in_flight.inc(change)

    def answer_in_thread(self, request: Request, take: Callable[[Response | Job], None]) -> None:
        """Answer a request without holding up the others; `take` is called in the loop, if it comes to that."""
        work = self.loop.run_in_executor(self._threads, self.service.answer, request)
        work.add_done_callback(lambda done: None if done.cancelled() else take(done.result()))

    async def sweep(self) -> None:
        """Keep deadlines and the clock, for ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.date = formatdate(usegmt=True)
            now = self.loop.time()
            for connection in list(self.connections):
                connection.expire(now)

    async def drain(self, server: asyncio.Server, ending: Ending) -> None:
        """End: be unready, linger, take no more connections, finish within the grace.

        From the start each reply closes its connection, and says so, so that clients go elsewhere without losing a
        request. What is not answered when the grace is over is dropped.
        """
        end = self.loop.time() + ending.grace
        self.service.close()
        self.draining = True
        await asyncio.sleep(min(ending.linger, ending.grace))
        server.close()
        while self.connections and self.loop.time() < end:
            for connection in list(self.connections):
                connection.close_if_idle()
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.transport.abort()
        self._threads.shutdown(wait=False, cancel_futures=True)  # else Python waits for all that is queued


async def run_server(
    service: Service,
    listener: socket.socket,
    load: Callable[[], "Classifier"],
    *,
    ready: Callable[[], None],
    ending: Ending,
) -> None:
    """Serve until a signal comes.

    Args:
        service: not yet open; it is, once `load` has returned.
        listener: bound, so that two processes can share it.
        load: makes the classifier, in a thread: meanwhile the server is alive and not ready.
        ready: called once the model is loaded.
        ending: how long the end may take, once a signal has come.

    Raises:
        MnistServingError: the model cannot be used.

    """
    loop = asyncio.get_running_loop()
    host = Host(service, loop)
    stopped = asyncio.Event()
    _end_on_signals(loop, stopped)
    server = await loop.create_server(lambda: Connection(host), sock=listener, backlog=service.limits.connections)
    sweeping = loop.create_task(host.sweep())
    try:
        service.open(await asyncio.to_thread(load))
        logger.info("ready")
        ready()
        await stopped.wait()
        await host.drain(server, ending)
    finally:
        server.close()
        sweeping.cancel()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop where there is one, Python's elsewhere."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _end_on_signals(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    """Set the event at the first signal; end the process at the second."""

    def stop(number: int) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        stopped.set()

    for number in STOP_SIGNALS:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C interrupts, which ends the loop
            loop.add_signal_handler(number, stop, number)
