"""HTTP/1.1 requests from a stream of bytes, each part within its limit.

The parser is llhttp, Node's, through httptools; the limits are checked here as the bytes arrive.
"""

import time
from typing import Protocol
from urllib.parse import urlsplit

import httptools

from .http_types import HttpError, Request, add_header, body_too_large
from .limits import BodyLimit, TransportLimits

VERSIONS = ("1.0", "1.1")
CONTINUE = b"100-continue"
NO_TARGET = "-"  # the path of a request that ended before it named one; no route has it


class Receiver(Protocol):
    """Who is told of each request as it arrives."""

    def request_begun(self) -> None:
        """Called at the first byte of a request."""

    def body_limit(self, request: Request) -> BodyLimit:
        """Return how large the body may be; called when the head is complete."""

    def large_body_begun(self) -> None:
        """Called when a body is larger than most may have; an `HttpError` raised here refuses it."""

    def head_read(self, request: Request) -> None:
        """Called when the head is complete; an `HttpError` raised here refuses the request before its body is read."""

    def request_read(self, request: Request, *, keep: bool) -> None:
        """Called when the request is complete; `keep` says that more may follow on the connection."""


class RequestReader:
    """Parses the bytes given to `feed` and hands requests to a receiver."""

    def __init__(self, receiver: Receiver, limits: TransportLimits) -> None:
        """Take the receiver of the requests and their limits."""
        self._receiver = receiver
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self.receiving = False  # a request has begun and is not complete
        self._request: Request | None = None  # its head is complete, its body is not
        self._called = False  # the parser has made a call since `feed` was called
        self._held_back = 0  # bytes fed since the last call: the parser may be keeping them
        self._start()

    def feed(self, data: bytes) -> None:
        """Parse some bytes.

        Raises:
            HttpError: they are not HTTP/1.1, or exceed a limit; nothing more can be read.

        """
        self._called = False
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, HttpError):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise HttpError(400, f"the request is not HTTP/1.1: {error}") from None
        self._held_back = 0 if self._called else self._held_back + len(data)
        if self.receiving and self._held_back > self._limits.header:
            raise self._head_too_large()

    def _parse(self, data: bytes) -> None:
        """Parse some bytes, as if no request in them offered to upgrade, which a server may ignore (RFC 9110, 7.8).

        The parser skips the body of such a request. So a new one reads its head once more, without the offer.
        """
        rest = memoryview(data)
        while (end := self._feed_parser(rest)) is not None:
            if self._parser.get_method() == b"CONNECT":
                return  # refused, after which the connection is closed: what follows is not HTTP
            rest = rest[end:]
            head = self._head_without_offer()
            self._parser = httptools.HttpRequestParser(self)
            self._feed_parser(head)

    def _feed_parser(self, data: bytes | memoryview) -> int | None:
        """Parse some bytes; return where a head ends that offers to upgrade, at which the parser stops."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            return int(offer.args[0])
        return None

    def _head_without_offer(self) -> bytes:
        version = self._parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self._parser.get_method(), self._url, version)]
        lines += [b"%s: %s" % header for header in self._headers.items() if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def abandon(self) -> Request:
        """Return what is known of a request that cannot be read to its end."""
        known = (_split_target(self._url)[0], self._headers) if self.receiving and self._url else (NO_TARGET, {})
        request = self._request or Request("", *known, started=time.perf_counter())
        self._request, self.receiving = None, False
        return request

    # The parser calls the methods below.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._called = True
        self._start()
        self.receiving = True
        self._receiver.request_begun()

    def on_url(self, url: bytes) -> None:
        """Take part of the target."""
        self._called = True
        self._url += url
        self._head_size += len(url)
        if self._head_size > self._limits.header:
            raise self._head_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a chunked body are counted and dropped."""
        self._called = True
        self._head_size += len(name) + len(value) + 4  # ": " and the end of the line
        if self._head_size > self._limits.header:
            raise self._head_too_large()
        if self._request is None:
            add_header(self._headers, name, value)

    def on_headers_complete(self) -> None:
        """Make the request; refuse what need not be read further."""
        headers = self._headers
        method = self._parser.get_method().decode("latin-1")
        if self._parser.should_upgrade() and method != "CONNECT":
            return  # read once more
        path, query = _split_target(self._url)
        self._request = Request(method, path, headers, started=time.perf_counter(), query=query)
        version = self._parser.get_http_version()
        _check_head(version, headers)
        if version == "1.0":
            headers.pop(b"expect", None)  # RFC 9110, 10.1.1: such a client knows no 100 Continue
        self._body_limit = self._receiver.body_limit(self._request)
        self._check_size(int(headers.get(b"content-length", b"0")))
        self._receiver.head_read(self._request)

    def on_chunk_header(self) -> None:
        """Count the chunks of a body."""
        self._called = True
        self._chunks += 1
        if self._chunks > self._limits.chunks:
            raise HttpError(413, f"the body has more than {self._limits.chunks:,} chunks; send it in larger ones")

    def on_body(self, piece: bytes) -> None:
        """Take part of the body."""
        self._called = True
        self._body_size += len(piece)
        self._check_size(self._body_size)
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Hand the request on."""
        request, self._request, self.receiving = self._request, None, False
        if request is not None:
            request.body = b"".join(self._pieces)
            keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
            # An HTTP/1.0 client would have to be told that its connection stays open; it is closed instead.
            self._receiver.request_read(request, keep=keep and self._parser.get_http_version() != "1.0")

    def _start(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._head_size = 0  # bytes
        self._body_size = 0
        self._chunks = 0

    def _head_too_large(self) -> HttpError:
        return HttpError(431, f"the request line and headers exceed {self._limits.header:,} bytes")

    def _check_size(self, size: int) -> None:
        if size > self._limits.body:
            if size > self._body_limit.size:
                raise body_too_large(self._body_limit)
            self._receiver.large_body_begun()


def _check_head(version: str, headers: dict[bytes, bytes]) -> None:
    """Refuse other versions of HTTP, a missing or repeated `Host` (RFC 9112, 3.2), and bodies coded twice (6.1)."""
    if version not in VERSIONS:
        raise HttpError(400, f"HTTP/{version} is not supported; use HTTP/1.1")
    if b"host" not in headers and version != "1.0":
        raise HttpError(400, "the Host header is missing")
    if b", " in headers.get(b"host", b""):
        raise HttpError(400, "the request has more than one Host header")
    coding = headers.get(b"transfer-encoding", b"chunked").decode("latin-1").strip()
    if coding.lower() != "chunked":
        raise HttpError(400, f"Transfer-Encoding {coding[:60]!r} is not supported; use chunked")


def _split_target(url: bytes) -> tuple[str, str]:
    """Return the path and the query of a request's target, which may be a full URL."""
    target = url.decode("latin-1")
    if not target.startswith(("/", "*")):
        try:
            parts = urlsplit(target)
        except ValueError:
            return target, ""
        return parts.path or "/", parts.query
    path, _, query = target.partition("?")
    return path, query
