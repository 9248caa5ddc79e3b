"""The service as an ASGI application, to be mounted in any ASGI server or framework."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .http_types import HttpError, Job, Request, Response, add_header
from .limits import Limits
from .service import Service

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGoneError(Exception):
    """The client went away before its request was whole."""


class Application:
    """An ASGI application around a service.

    It bounds bodies, their time and the requests in flight; the head of a request, idle connections and
    the ending of the process are in the hands of the server that it is mounted in.
    """

    def __init__(self, service: Service) -> None:
        """Take a service, ready or not."""
        self.service = service
        self._in_flight = 0

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
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self.service.close()
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self._read_head(scope)
        try:
            response = await self._respond(request, receive)
        except ClientGoneError:
            return
        headers = {"Content-Type": response.content_type, "Content-Length": str(len(response.body)), **response.headers}
        if request.refusal is not None:
            headers["Connection"] = "close"  # the rest of the body is still to come
        raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": raw_headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})

    def _read_head(self, scope: Scope) -> Request:
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            add_header(headers, name, value)
        path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
        path = path.removeprefix(scope.get("root_path", "")) or "/"
        identity = self.service.identities.of(headers)
        query = scope["query_string"].decode("latin-1")
        return Request(scope["method"], path, headers, started=time.perf_counter(), identity=identity, query=query)

    async def _respond(self, request: Request, receive: Receive) -> Response:
        """Read the body and answer; requests with a body count as in flight meanwhile."""
        counted = request.has_body
        if counted and self._in_flight >= self.service.limits.in_flight:
            request.refusal = self.service.too_busy()
            counted = False
        self._in_flight += counted
        self.service.metrics.in_flight.inc(counted)
        try:
            if request.refusal is None:
                await self._read_body(request, receive)
            return await self._work(request)
        finally:
            self._in_flight -= counted
            self.service.metrics.in_flight.dec(counted)

    async def _read_body(self, request: Request, receive: Receive) -> None:
        """Fill in the body, or the refusal where it is too large or too slow."""
        limits = self.service.limits
        try:
            async with asyncio.timeout(limits.request_seconds):
                request.body = await _receive_body(receive, limits)
        except TimeoutError:
            request.refusal = HttpError(408, f"the body did not arrive within {limits.request_seconds:g} s")
        except HttpError as error:
            request.refusal = error

    async def _work(self, request: Request) -> Response:
        answer = self.service.answer
        slow = self.service.is_slow(request)
        outcome = await asyncio.to_thread(answer, request) if slow else answer(request)
        if isinstance(outcome, Job):
            return self.service.complete(request, outcome, self.service.predict(outcome.images))
        return outcome


async def _receive_body(receive: Receive, limits: Limits) -> bytes:
    """Return the body.

    Raises:
        HttpError: 413, it is too large or in too many pieces.
        ClientGoneError: the client went away.

    """
    pieces: list[bytes] = []
    size = count = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece = message.get("body", b"")
        size += len(piece)
        count += 1
        if size > limits.body:
            raise HttpError(413, f"the body is larger than {limits.body:,} bytes")
        if count > limits.chunks:
            raise HttpError(413, f"the body comes in more than {limits.chunks:,} pieces")
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
