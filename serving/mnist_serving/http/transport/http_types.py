"""Requests and replies as plain values, and the application that turns one into the other, as the transport sees it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from .limits import BodyLimit, TransportLimits

RETRY = {"Retry-After": "1"}

Job = TypeVar("Job")


class HttpError(Exception):
    """A request that is answered with an error.

    Args:
        status: 400 or above.
        message: what is wrong, what is allowed, what to do.
        headers: sent with the reply, such as `Retry-After`.

    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep the parts of the reply."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


@dataclass(slots=True)
class Request:
    """What a client sent.

    Attributes:
        method: in capitals; empty if the head could not be read.
        path: as sent, percent-encoded, without the query; `-` if the target could not be read.
        headers: names in lower case; several of one name are joined by commas.
        body: complete, and still compressed if the client compressed it.
        started: when its head was complete, on the clock `time.perf_counter`.
        error: set by a transport that could not read the whole request; the application answers with it.
        query: what follows the question mark in the target, percent-encoded.
        root_path: below which the application is mounted, decoded; empty, or with a slash in front and none behind.
        client: the address at the other end of the connection; empty for a Unix socket.
        request_id: the client's `X-Request-Id` or a new one; the application sets it.
        route: which of its routes the application took; it names the request in the metrics.
        client_gone: set by a transport whose client has closed the connection: nobody waits for the reply.

    """

    method: str
    path: str
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    started: float = 0.0
    error: HttpError | None = None
    query: str = ""
    root_path: str = ""
    client: str = ""
    request_id: str = ""
    route: str = "other"
    client_gone: bool = False

    @property
    def has_body(self) -> bool:
        """Whether a body follows, or should: such requests count as in flight."""
        return self.method == "POST" or b"content-length" in self.headers or b"transfer-encoding" in self.headers


@dataclass(slots=True)
class Response:
    """What goes back to the client."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class App(Protocol[Job]):
    """What the transport needs of an application; a `Job` is the application's own, and only handed back to it."""

    in_flight: int  # requests with a body that are being received or worked on
    large_in_flight: int  # of these, with a body larger than most may have

    @property
    def limits(self) -> TransportLimits:
        """How much the transport accepts."""

    def body_limit(self, request: Request) -> BodyLimit:
        """Return how large the body of a request may be, of which the head is known."""

    def is_slow(self, request: Request) -> bool:
        """Return whether `answer` takes milliseconds, so that it should run in a thread."""

    def answer(self, request: Request) -> Response | Job:
        """Return the reply, or a job that `run` turns into the reply."""

    def run(self, jobs: list[Job]) -> Iterable[Response]:
        """Do several jobs together; yield their replies, in their order."""

    def count_in_flight(self, change: int) -> None:
        """Note that a request with a body has arrived, +1, or is answered, -1."""

    def close(self) -> None:
        """Report from now on that no more requests should be sent here."""

    def give_up(self) -> None:
        """End what `answer` is doing in a thread as soon as it can, with any reply: no client is left to read it."""


def add_header(headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Add a request's header; a second one of the same name is appended to the first, after a comma."""
    key = name.lower()
    headers[key] = headers[key] + b", " + value if key in headers else value


def body_too_large(limit: BodyLimit) -> HttpError:
    """Return the error of a body beyond its limit."""
    return HttpError(413, f"the body is larger than {limit.size:,} bytes; {limit.flag} allows more")


def too_many(limit: int, what: str) -> HttpError:
    """Return the error for a request or a connection beyond those allowed at a time."""
    return HttpError(503, f"the server has {limit:,} {what}, the most that it takes; try again", RETRY)
