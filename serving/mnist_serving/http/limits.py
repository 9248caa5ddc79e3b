"""The bounds that keep the service alive whatever arrives: each has a default here and a flag in `serve`."""

from dataclasses import dataclass

from mnist_serving.preprocess.canonicalize import MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """How much is taken before a request is refused.

    Attributes:
        body: bytes of a body, as it arrives and again after decompression; beyond: 413.
        images: images in one request; beyond: 413.
        header: bytes of the request line and the headers together; beyond: 431.
        chunks: pieces of a chunked body; beyond: 413.
        pixels: width times height of a picture file; beyond: 400.
        in_flight: requests with a body that are being received or worked on; beyond: 503.
        connections: open connections; beyond: 503.
        request_seconds: from a request's first byte to its last, and for a client to take a reply; beyond: 408.
        idle_seconds: a connection may stay open between requests.

    """

    body: int = 1 << 20
    images: int = 1024
    header: int = 16 << 10
    chunks: int = 65_536
    pixels: int = MAX_PIXELS
    in_flight: int = 128
    connections: int = 512
    request_seconds: float = 10.0
    idle_seconds: float = 75.0
