"""One client's connection: requests in, replies out in the same order, and a deadline for all that a client does."""

import asyncio
from collections import deque
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from mnist_serving.http.http_types import Answers, HttpError, Job, Request, Response

from .reader import CONTINUE, RequestReader

if TYPE_CHECKING:
    from .server import Host

PIPELINED = 16  # whole requests waiting for their turn; beyond, the socket is not read
LINGER_SECONDS = 1.0  # for a client to take the last reply and close
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Connection(asyncio.Protocol):
    """Has the requests of one client answered.

    `deadline`, on the loop's clock, is when the client must have done what it is to do next: send a whole
    request, take a reply, or close.
    """

    transport: asyncio.Transport

    def __init__(self, host: "Host") -> None:
        """Take what all connections share."""
        self.host = host
        self.service = host.service
        self.limits = host.service.limits
        self.reader = RequestReader(self, host.service.limits, host.service.identities)
        self.deadline = 0.0
        self._queue: deque[tuple[Request, bool]] = deque()  # whole requests, and whether more may follow
        self._busy = False  # a request is being worked on
        self._closing = False  # nothing more is answered; what still comes is thrown away
        self._half_closed = False  # the client sends no more
        self._write_blocked = False  # the client does not take its replies
        self._paused = False  # the socket is not read
        self._in_flight = False  # counted among the requests in flight

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock; refuse the client if there are too many."""
        self.transport = cast("asyncio.Transport", transport)
        self._set_deadline(self.limits.request_seconds)
        self.host.connections.add(self)
        if len(self.host.connections) > self.limits.connections:
            self._refuse(self.service.too_busy())

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client; a request that is being worked on stays counted until it is done."""
        self._closing = True
        self._queue.clear()
        if not self._busy:
            self._release()
        self.host.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Read what came; whole requests are answered on the way."""
        if self._closing:
            return
        try:
            self.reader.feed(data)
        except HttpError as error:
            self._refuse(error)

    def eof_received(self) -> bool:
        """Keep a connection that the client has half closed until its whole requests are answered."""
        self._half_closed = True
        return bool(self._busy or self._queue) and not self._closing

    def pause_writing(self) -> None:
        """Work no further for a client that does not take its replies."""
        self._write_blocked = True
        self._pause_reading()
        self._set_deadline(self.limits.request_seconds)

    def resume_writing(self) -> None:
        """Go on; after the last reply, wait for the client to close."""
        self._write_blocked = False
        if self._closing:
            self._set_deadline(LINGER_SECONDS)
        else:
            self._advance()

    # What follows is called by the reader.

    def request_begun(self) -> None:
        """Start the clock of a request."""
        self._set_deadline(self.limits.request_seconds)

    def head_read(self, request: Request) -> None:
        """Count a request with a body as in flight, or refuse it; tell a client that waits to go on."""
        if request.has_body and not self._in_flight:
            if self.host.in_flight >= self.limits.in_flight:
                raise self.service.too_busy()
            self._in_flight = True
            self.host.count_in_flight(1)
        if request.headers.get(b"expect", b"").lower() == CONTINUE and not self._busy:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def request_read(self, request: Request, *, keep: bool) -> None:
        """Answer a request, when those before it are answered."""
        self._queue.append((request, keep))
        if len(self._queue) > PIPELINED:
            self._pause_reading()
        self._advance()

    # What follows is called by the host.

    def expire(self, now: float) -> None:
        """Act on the deadline, if it has passed."""
        if now < self.deadline:
            return
        if self._closing or self._write_blocked:
            self.transport.abort()
        elif self.reader.receiving:
            self._refuse(HttpError(408, f"the request did not arrive within {self.limits.request_seconds:g} s"))
        elif not self._busy:
            self._close()

    def close_if_idle(self) -> None:
        """Close a connection on which nothing is going on."""
        if not (self._busy or self._queue or self.reader.receiving or self._closing):
            self._close()

    # The rest is the connection's own.

    def _refuse(self, error: HttpError) -> None:
        """Answer a request that cannot be read, after those before it, and close."""
        request = self.reader.abandon()
        request.refusal = error
        self._queue.append((request, False))
        self._pause_reading()
        self._advance()

    def _advance(self) -> None:
        """Answer requests in their order, until one has to be waited for."""
        while self._queue and not (self._busy or self._write_blocked or self._closing):
            request, keep = self._queue.popleft()
            if self.service.is_slow(request):
                self._busy = True
                self.host.answer_in_thread(request, partial(self._take, request, keep))
            else:
                self._act(request, keep, self.service.answer(request))
        if not (self._queue or self._busy or self._write_blocked or self._closing):
            self._rest()

    def _take(self, request: Request, keep: bool, outcome: Response | Job) -> None:  # noqa: FBT001 (a partial's)
        """Go on with a request that a thread has worked on."""
        self._busy = False
        if self._closing:
            self._release()
            return
        self._act(request, keep, outcome)
        self._advance()

    def _act(self, request: Request, keep: bool, outcome: Response | Job) -> None:  # noqa: FBT001 (as above)
        """Send a reply, or give the model its job."""
        if isinstance(outcome, Job):
            self._busy = True
            self.host.batcher.add(outcome, partial(self._complete, request, keep, outcome))
        else:
            self._reply(request, keep, outcome)

    def _complete(self, request: Request, keep: bool, job: Job, answers: Answers | None) -> None:  # noqa: FBT001 (as above)
        """Send the reply to a request whose job is done."""
        self._take(request, keep, self.service.complete(request, job, answers))

    def _reply(self, request: Request, keep: bool, response: Response) -> None:  # noqa: FBT001 (as above)
        """Write a reply; close after the last one."""
        more_came = self._queue or self.reader.receiving
        last = not keep or (not more_came and (self.host.draining or self._half_closed))
        head = [STATUS_LINES[response.status], "Content-Type: ", response.content_type]
        head.append(f"\r\nContent-Length: {len(response.body)}\r\nDate: {self.host.date}\r\n")
        head.extend(f"{name}: {value}\r\n" for name, value in response.headers.items())
        head.append("Connection: close\r\n\r\n" if last else "\r\n")
        body = b"" if request.method == "HEAD" else response.body
        self.transport.write("".join(head).encode("latin-1") + body)
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
        if self._half_closed or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.transport.set_write_buffer_limits(high=0)  # from here on, writing is blocked until all is taken
        if not self._write_blocked:
            self._set_deadline(LINGER_SECONDS)
        if self._paused:
            self.transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _release(self) -> None:
        if self._in_flight:
            self._in_flight = False
            self.host.count_in_flight(-1)

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = self.host.loop.time() + seconds
