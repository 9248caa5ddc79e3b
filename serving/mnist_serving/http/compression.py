"""gzip and deflate, both ways; what comes in never grows beyond its bound."""

import gzip
import re
import zlib
from http import HTTPStatus

from .http_types import HttpError, Request, Response

WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
WORTH_COMPRESSING = 256  # bytes; below, the reply would hardly shrink
REFUSED = re.compile(r"q=0(\.0*)?$")


def decompress(request: Request, *, limit: int) -> bytes:
    """Return a request's body as the client meant it.

    Args:
        request: its `Content-Encoding` may be absent, identity, gzip or deflate (RFC 9110, with zlib's header).
        limit: the most bytes that may come out.

    Raises:
        HttpError: 415 for another encoding, 413 beyond the limit, 400 for damaged data.

    """
    encoding = request.headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if encoding in ("", "identity"):
        return request.body
    if encoding not in WINDOWS:
        raise HttpError(415, f"Content-Encoding {encoding[:60]!r} is not known; gzip and deflate are")
    inflater = zlib.decompressobj(WINDOWS[encoding])
    try:
        content = inflater.decompress(request.body, limit + 1)
    except zlib.error as error:
        raise HttpError(400, f"the body is no {encoding}: {error}") from error
    if len(content) > limit:
        raise HttpError(413, f"the body decompresses to more than {limit:,} bytes")
    if not inflater.eof or inflater.unused_data:
        raise HttpError(400, f"the body is {'cut short' if not inflater.eof else 'longer than its ' + encoding} data")
    return content


def compress(request: Request, response: Response) -> None:
    """Compress a reply in place, if the client asked for it and it is worth it.

    Errors stay plain: some clients read them without looking at `Content-Encoding`.
    """
    accepted = request.headers.get(b"accept-encoding")
    if accepted is None or response.status != HTTPStatus.OK or len(response.body) < WORTH_COMPRESSING:
        return
    offers = [offer.strip().partition(";") for offer in accepted.decode("latin-1").lower().split(",")]
    wanted = {name.strip() for name, _, weight in offers if not REFUSED.search(weight.strip())}
    if "gzip" in wanted:
        response.body = gzip.compress(response.body, compresslevel=1, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
    elif "deflate" in wanted:
        response.body = zlib.compress(response.body, level=1)
        response.headers["Content-Encoding"] = "deflate"
    response.headers["Vary"] = "Accept-Encoding"
