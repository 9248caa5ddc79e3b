"""The service as an ASGI application, to be mounted in any ASGI server or framework."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from .service import Service
from .transport import Batcher, BodyLimit, HttpError, Request, Response, add_header, body_too_large, too_many

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


TOO_SLOW = "the body did not arrive in time"
DROPPED = "the server dropped the body of a request that offers to upgrade; use uvicorn --http h11"


class ClientGoneError(Exception):
    """The client left before its request was complete."""


class Application:
    """An ASGI application around a service.

    It limits bodies, their time and the requests in flight. The server that it is mounted in is responsible for the
    heads of requests, for idle connections and for the shutdown.
    """

    def __init__(self, service: Service) -> None:
        """Take a service, ready or not."""
        self.service = service
        self._batcher: Batcher[Any, Response] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._follow_lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _follow_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            self.service.closing = message["type"] == "lifespan.shutdown"  # a test may start one application many times
            await send({"type": f"{message['type']}.complete"})
            if self.service.closing:
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _read_head(scope)
        try:
            response = await self._respond(request, receive)
        except ClientGoneError:
            return
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
        headers += [(b"content-type", response.content_type.encode()), (b"content-length", b"%d" % len(response.body))]
        if request.error is not None:
            headers.append((b"connection", b"close"))  # the rest of the body is still to come
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})

    async def _respond(self, request: Request, receive: Receive) -> Response:
        """Read the body and answer; meanwhile a request with a body counts as in flight."""
        service = self.service
        counted = request.has_body
        if counted and service.in_flight >= service.limits.in_flight:
            request.error = too_many(service.limits.in_flight, "requests in flight")
            counted = False
        service.count_in_flight(counted)
        large = _LargeBody(service)
        try:
            if request.error is None:
                await self._read_body(request, receive, large)
            return await self._work(request)
        finally:
            service.count_in_flight(-counted)
            large.end()

    async def _read_body(self, request: Request, receive: Receive, large: "_LargeBody") -> None:
        """Set the body, or the error if it is too large or too slow."""
        seconds, task = self.service.limits.request_seconds, asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine runs in one)
        # As `asyncio.timeout` does it, in a third of its time, which would be 4 % of a request.
        timer = task.get_loop().call_later(seconds, task.cancel, TOO_SLOW)
        try:
            request.body = await _receive_body(receive, self.service.body_limit(request), large)
            if not request.body:
                _refuse_if_dropped(request)
        except HttpError as error:
            request.error = error
        except asyncio.CancelledError as error:
            if error.args != (TOO_SLOW,):
                raise
            task.uncancel()
            request.error = HttpError(408, f"the body did not arrive within {seconds:g} s")
        finally:
            timer.cancel()

    async def _work(self, request: Request) -> Response:
        """Answer; requests of one turn of the event loop share a run of the model."""
        answer = self.service.answer
        outcome = await asyncio.to_thread(answer, request) if self.service.is_slow(request) else answer(request)
        if isinstance(outcome, Response):
            return outcome
        loop = asyncio.get_running_loop()
        if self._batcher is None or self._batcher.loop is not loop:  # tests may run one application in several loops
            self._batcher = Batcher(self.service.run, loop)
        reply: asyncio.Future[Response] = loop.create_future()
        self._batcher.add(outcome, lambda response: None if reply.done() else reply.set_result(response))
        return await reply


def _refuse_if_dropped(request: Request) -> None:
    """Say why a body is empty that should not be.

    A request may offer to upgrade its connection and be answered all the same (RFC 9110, 7.8), but uvicorn with
    httptools drops its body.
    """
    sent = b"transfer-encoding" in request.headers or request.headers.get(b"content-length", b"0") != b"0"
    if sent and b"upgrade" in request.headers:
        raise HttpError(400, DROPPED)


def _read_head(scope: Scope) -> Request:
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        add_header(headers, name, value)
    path = scope["raw_path"].decode("latin-1").partition("?")[0] if scope.get("raw_path") else quote(scope["path"])
    client = (scope.get("client") or ("",))[0]
    root = scope.get("root_path", "").rstrip("/")
    query = scope["query_string"].decode("latin-1")
    return Request(
        scope["method"], path, headers, started=time.perf_counter(), query=query, root_path=root, client=client
    )


class _LargeBody:
    """Counts a request's body among the large ones."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._counted = False

    def begin(self) -> None:
        """Count it once, or refuse it."""
        if not self._counted:
            most = self.service.limits.large_in_flight
            if self.service.large_in_flight >= most:
                raise too_many(most, "large requests in flight")
            self._counted = True
            self.service.large_in_flight += 1

    def end(self) -> None:
        """Count it no longer."""
        self.service.large_in_flight -= self._counted


async def _receive_body(receive: Receive, limit: BodyLimit, large: _LargeBody) -> bytes:
    """Return the body.

    Raises:
        HttpError: 413, it is too large or arrives in too many pieces; 503, there are too many large ones.
        ClientGoneError: the client left.

    """
    limits = large.service.limits
    pieces: list[bytes] = []
    size = count = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message.get("body", b"")
        size += len(piece)
        count += 1
        if size > limit.size:
            raise body_too_large(limit)
        if size > limits.body:
            large.begin()
        if count > limits.chunks:
            raise HttpError(413, f"the body has more than {limits.chunks:,} chunks; send it in larger ones")
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
