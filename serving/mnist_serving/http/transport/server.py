"""The server: listens, has the application loaded, watches deadlines, and finishes its requests before it ends."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .connection import Connection, ServerState
from .http_types import App
from .signals import stop_signals

logger = logging.getLogger("mnist_serving.http")

SWEEP_SECONDS = 0.25  # between looks at the deadlines


@dataclass(frozen=True)
class ShutdownTimeouts:
    """How long the shutdown takes, in seconds after the signal.

    Attributes:
        linger: new connections are still accepted, so that clients learn that the server is not ready.
        grace: whatever is not finished by then is dropped.

    """

    linger: float
    grace: float


async def run_server(
    app: App[Any],
    listeners: list[socket.socket],
    load: Callable[[], None] | None,
    *,
    ready: Callable[[], None],
    timeouts: ShutdownTimeouts,
) -> None:
    """Serve until a signal arrives.

    Args:
        app: answers the requests, also before it is loaded.
        listeners: bound, so that several processes can share them.
        load: makes the application ready; it runs in a thread, and what it raises ends the server. None if it is ready.
        ready: called once the application is loaded.
        timeouts: of the shutdown.

    """
    loop = asyncio.get_running_loop()
    state = ServerState(app, loop)
    stopped: asyncio.Future[str] = loop.create_future()
    _end_on_signals(loop, stopped)
    servers = [await _serve_on(listener, state) for listener in listeners]
    sweeping = loop.create_task(sweep(state))
    try:
        if load:
            await asyncio.to_thread(load)
        logger.info("ready")
        ready()
        logger.info("%s arrived; finishing the requests in flight", await stopped)
        dropped = await drain(state, servers, timeouts)
        logger.info("ended, with %s connections dropped", dropped, extra={"dropped": dropped})
    finally:
        for server in servers:
            server.close()
        sweeping.cancel()


async def _serve_on(listener: socket.socket, state: ServerState) -> asyncio.Server:
    create = state.loop.create_unix_server if listener.family == socket.AF_UNIX else state.loop.create_server
    return await create(lambda: Connection(state), sock=listener, backlog=state.app.limits.connections)


async def sweep(state: ServerState) -> None:
    """Watch the deadlines and the clock, for ever."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        state.tell_time()
        now = state.loop.time()
        for connection in list(state.connections):
            connection.expire(now)


async def drain(state: ServerState, servers: list[asyncio.Server], timeouts: ShutdownTimeouts) -> int:
    """Report "not ready", linger, stop listening, and finish within the grace period.

    From the start each reply closes its connection, and says so, so that clients go elsewhere without losing a
    request. Requests that are not answered at the end of the grace period are dropped; the number is returned.
    """
    end = state.loop.time() + timeouts.grace
    state.app.close()
    state.draining = True
    await asyncio.sleep(min(timeouts.linger, timeouts.grace))
    for server in servers:
        server.close()
    while state.connections and state.loop.time() < end:
        for connection in list(state.connections):
            connection.close_if_idle()
        await asyncio.sleep(0.01)
    dropped = list(state.connections)
    for connection in dropped:
        connection.transport.abort()
    state.app.give_up()
    state.threads.shutdown(wait=False, cancel_futures=True)  # otherwise Python waits for everything in the queue
    return len(dropped)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop if it is installed, otherwise Python's."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _end_on_signals(loop: asyncio.AbstractEventLoop, stopped: "asyncio.Future[str]") -> None:
    """Give the future the first signal's name; end the process at the second."""

    def stop(number: int) -> None:
        if stopped.done():
            logger.warning("%s arrived, the second signal; ending at once", signal.Signals(number).name)
            os._exit(128 + number)
        stopped.set_result(signal.Signals(number).name)

    for number in stop_signals():
        loop.add_signal_handler(number, stop, number)
