"""The limits that hold for any application; `http.limits` adds those of this one."""

from dataclasses import dataclass
from typing import NamedTuple


class BodyLimit(NamedTuple):
    """How many bytes the body of a request may have, and the flag that sets it."""

    size: int
    flag: str


@dataclass(frozen=True)
class TransportLimits:
    """How much is accepted before a request is refused.

    Attributes:
        body: bytes in a body, as it arrives and again after decompression, unless the application allows a request
            more; beyond: 413.
        header: bytes in the request line and the headers together; beyond: 431.
        chunks: chunks in a chunked body; beyond: 413.
        in_flight: requests with a body that are being received or worked on; beyond: 503.
        large_in_flight: of these, with a body that is larger than `body`; beyond: 503.
        connections: open connections; beyond: 503.
        request_seconds: from a request's first byte to its last, and for a client to read a reply; beyond: 408.
        idle_seconds: how long a connection may stay open between requests.

    """

    body: int = 1 << 20
    header: int = 16 << 10
    chunks: int = 65_536
    in_flight: int = 128
    large_in_flight: int = 8
    connections: int = 512
    request_seconds: float = 10.0
    idle_seconds: float = 75.0
