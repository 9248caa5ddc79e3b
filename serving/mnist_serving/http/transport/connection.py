"""One client's connection: requests in, replies out in the same order, and a deadline for whatever the client does."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from .batcher import Batcher
from .http_types import App, HttpError, Request, Response, too_many
from .limits import BodyLimit
from .reader import CONTINUE, RequestReader

PIPELINED = 16  # complete requests waiting for their turn; beyond, the socket is not read
LINGER_SECONDS = 1.0  # for a client to read the last reply and close
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class ServerState:
    """What all connections of a process share."""

    def __init__(self, app: App[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Take the application and the loop; it has no connections yet."""
        self.app = app
        self.loop = loop
        self.batcher = Batcher(app.run, loop)
        self.connections: set[Connection] = set()
        self.draining = False
        self.threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="slow-requests")
        self.tell_time()

    def tell_time(self) -> None:
        """Set the `Date` of the replies."""
        self.date = formatdate(usegmt=True)

    def answer_in_thread(self, request: Request, take: Callable[[Any], None]) -> Future[Any]:
        """Answer a request without holding up the others; `take` is called in the loop unless it is cancelled."""
        work = self.threads.submit(self.app.answer, request)
        in_loop = asyncio.wrap_future(work, loop=self.loop)
        in_loop.add_done_callback(lambda done: None if done.cancelled() else take(done.result()))
        return work


class Connection(asyncio.Protocol):
    """Has the requests of one client answered.

    `deadline`, on the loop's clock, is when the client must have done what it is to do next: send a complete
    request, read a reply, or close.
    """

    transport: asyncio.Transport

    def __init__(self, state: ServerState) -> None:
        """Take what all connections share."""
        self.state = state
        self.app = state.app
        self.limits = state.app.limits
        self.reader = RequestReader(self, self.limits)
        self.deadline = 0.0
        self._queue: deque[tuple[Request, bool]] = deque()  # complete requests, and whether more may follow
        self._busy = False  # a request is being worked on
        self._request: Request | None = None  # the last that went to the thread
        self._work: Future[Any] | None = None  # its answer there
        self._closing = False  # nothing more is answered; what still arrives is dropped
        self._half_closed = False  # the client sends no more
        self._write_blocked = False  # the client does not read its replies
        self._paused = False  # the socket is not read
        self._in_flight = False  # counted among the requests in flight
        self._large = False  # counted among those with a large body
        self._client = ""  # its address

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock; refuse the client if there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else ""  # a Unix socket's is a path, or nothing
        self._set_deadline(self.limits.request_seconds)
        self.state.connections.add(self)
        if len(self.state.connections) > self.limits.connections:
            self._refuse(too_many(self.limits.connections, "connections"))

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client and what waits for its turn; what is being worked on stays counted until it is done."""
        self._closing = True
        self._queue.clear()
        if self._request and self._work:
            self._request.client_gone = True
            if self._work.cancel():  # it has not begun
                self._busy = False
        if not self._busy:
            self._release()
        self.state.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Read what arrived; complete requests are answered on the way."""
        if self._closing:
            return
        try:
            self.reader.feed(data)
        except HttpError as error:
            self._refuse(error)

    def eof_received(self) -> bool:
        """Keep a connection that the client has half closed until its complete requests are answered."""
        self._half_closed = True
        return bool(self._busy or self._queue) and not self._closing

    def pause_writing(self) -> None:
        """Stop working for a client that does not read its replies."""
        self._write_blocked = True
        self._pause_reading()
        self._set_deadline(self.limits.request_seconds)

    def resume_writing(self) -> None:
        """Continue; after the last reply, wait for the client to close."""
        self._write_blocked = False
        if self._closing:
            self._set_deadline(LINGER_SECONDS)
        else:
            self._advance()

    # The reader calls these.

    def request_begun(self) -> None:
        """Start the clock of a request."""
        self._set_deadline(self.limits.request_seconds)

    def body_limit(self, request: Request) -> BodyLimit:
        """Return how large the body may be."""
        request.client = self._client
        return self.app.body_limit(request)

    def large_body_begun(self) -> None:
        """Count a large body, or refuse it: many of them would fill the memory."""
        if not self._large:
            if self.app.large_in_flight >= self.limits.large_in_flight:
                raise too_many(self.limits.large_in_flight, "large requests in flight")
            self._large = True
            self.app.large_in_flight += 1

    def head_read(self, request: Request) -> None:
        """Count a request with a body as in flight, or refuse it; tell a client that waits to go ahead."""
        if request.has_body and not self._in_flight:
            if self.app.in_flight >= self.limits.in_flight:
                raise too_many(self.limits.in_flight, "requests in flight")
            self._in_flight = True
            self.app.count_in_flight(1)
        if request.headers.get(b"expect", b"").lower() == CONTINUE and not self._busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def request_read(self, request: Request, *, keep: bool) -> None:
        """Answer a request once those before it are answered."""
        self._queue.append((request, keep))
        if len(self._queue) > PIPELINED or self._large:
            self._pause_reading()
        self._advance()

    # The server calls these.

    def expire(self, now: float) -> None:
        """Act on the deadline if it has passed."""
        if now < self.deadline:
            return
        if self._closing or self._write_blocked:
            self.transport.abort()
        elif self.reader.receiving:
            self._refuse(HttpError(408, f"the request did not arrive within {self.limits.request_seconds:g} s"))
        elif not self._busy:
            self._close()

    def close_if_idle(self) -> None:
        """Close the connection if nothing is going on there."""
        if not (self._busy or self._queue or self.reader.receiving or self._closing):
            self._close()

    # Only the connection itself calls these.

    def _refuse(self, error: HttpError) -> None:
        """Answer a request that cannot be read, after those before it, and close."""
        request = self.reader.abandon()
        request.client, request.error = self._client, error
        self._queue.append((request, False))
        self._pause_reading()
        self._advance()

    def _advance(self) -> None:
        """Answer requests in their order, until one has to be waited for."""
        while self._queue and not (self._busy or self._write_blocked or self._closing):
            request, keep = self._queue.popleft()
            if self.app.is_slow(request):
                self._busy = True
                self._request = request
                self._work = self.state.answer_in_thread(request, partial(self._take, request, keep))
            else:
                self._act(request, keep, self.app.answer(request))
        if not (self._queue or self._busy or self._write_blocked or self._closing):
            self._rest()

    def _take(self, request: Request, keep: bool, outcome: object) -> None:  # noqa: FBT001 (a partial's)
        """Continue with what a thread, or the batcher, has made of a request."""
        self._busy = False
        if self._closing:
            self._release()
            return
        self._act(request, keep, outcome)
        self._advance()

    def _act(self, request: Request, keep: bool, outcome: object) -> None:  # noqa: FBT001 (as above)
        """Send a reply, or pass a job on."""
        if isinstance(outcome, Response):
            self._reply(request, keep, outcome)
        else:
            self._busy = True
            self.state.batcher.add(outcome, partial(self._take, request, keep))

    def _reply(self, request: Request, keep: bool, response: Response) -> None:  # noqa: FBT001 (as above)
        """Write a reply; close after the last one."""
        more_came = self._queue or self.reader.receiving
        last = not keep or (not more_came and (self.state.draining or self._half_closed))
        head = f"{STATUS_LINES[response.status]}Content-Type: {response.content_type}\r\n"
        head += f"Content-Length: {len(response.body)}\r\nDate: {self.state.date}\r\n"
        for name, value in response.headers.items():
            head += f"{name}: {value}\r\n"
        head += "Connection: close\r\n\r\n" if last else "\r\n"
        body = b"" if request.method == "HEAD" else response.body
        self.transport.write(head.encode("latin-1") + body)
        if last:
            self._close()

    def _rest(self) -> None:
        """Wait for the next request, or for the rest of it."""
        if not self.reader.receiving:
            self._release()
            self._set_deadline(self.limits.idle_seconds)
        if self._paused:
            self._paused = False
            self.transport.resume_reading()

    def _close(self) -> None:
        """End the connection so that the last reply arrives: closing a socket with unread bytes would cut it off."""
        self._closing = True
        self._queue.clear()
        self._release()
        crowded = len(self.state.connections) > self.limits.connections * 4 // 3  # nobody may linger then
        if self._half_closed or crowded or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.transport.set_write_buffer_limits(high=0)  # from now on, writing is blocked until everything is read
        if not self._write_blocked:
            self._set_deadline(LINGER_SECONDS)
        if self._paused:
            self.transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _release(self) -> None:
        if self._large:
            self._large = False
            self.app.large_in_flight -= 1
        if self._in_flight:
            self._in_flight = False
            self.app.count_in_flight(-1)

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = self.state.loop.time() + seconds
