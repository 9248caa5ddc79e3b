"""Requests and replies as plain values, the same for every server that carries them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

Images = npt.NDArray[np.uint8]

JSON = "application/json"


class HttpError(Exception):
    """A request that is answered with an error.

    Args:
        status: 400 or above.
        message: what is wrong and what is wanted.
        headers: sent along, such as `Retry-After`.

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
        method: in capitals.
        path: as sent, percent-encoded, without the query.
        headers: names in lower case; several of one name are joined by commas.
        body: whole, still compressed if it was.
        started: when its head was complete, on the clock `time.perf_counter`.
        identity: the client's `X-Request-Id`, or one of ours.
        refusal: set by a server that could not read the request whole.
        query: what follows the question mark in the target, percent-encoded.

    """

    method: str
    path: str
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    started: float = 0.0
    identity: str = ""
    refusal: HttpError | None = None
    query: str = ""

    @property
    def has_body(self) -> bool:
        """Whether a body comes, or should: such requests count as in flight."""
        return self.method == "POST" or b"content-length" in self.headers or b"transfer-encoding" in self.headers


@dataclass(slots=True)
class Response:
    """What goes back; `call` names the call in the metrics."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    call: str = "other"


class Answers(NamedTuple):
    """What the model says of the N images of one request."""

    labels: list[str]
    probabilities: npt.NDArray[np.float32]  # [N,classes]
    logits: npt.NDArray[np.float32]  # [N,classes]
    abstained: npt.NDArray[np.bool_]  # [N]

    def part(self, rows: slice) -> "Answers":
        """Return the answers of some of the images."""
        return Answers(self.labels[rows], self.probabilities[rows], self.logits[rows], self.abstained[rows])


@dataclass(slots=True)
class Job:
    """A request that waits for the model: its images, uint8 [N,channels,height,width], and what makes the reply."""

    images: Images
    reply: Callable[[Answers], Response]
    call: str = "other"


def error_response(error: HttpError) -> Response:
    """Return `{"error": ...}`, the form of every error on every path."""
    return Response(error.status, orjson.dumps({"error": error.message}), headers=dict(error.headers))


def json_response(document: object) -> Response:
    """Return a document as JSON; numpy arrays become lists, float32 in as few digits as tell it apart."""
    return Response(200, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def add_header(headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Add a request's header; a second one of the same name joins the first, with a comma."""
    key = name.lower()
    headers[key] = headers[key] + b", " + value if key in headers else value
