"""gzip and deflate, both ways; a decompressed body never exceeds its limit."""

import gzip
import re
import zlib
from http import HTTPStatus

from .transport import BodyLimit, HttpError, Request, Response, body_too_large

WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
PROTOCOLS = ("/v1", "/v2")
WORTH_COMPRESSING = 256  # bytes; a shorter reply would hardly shrink
WEIGHT_ZERO = re.compile(r"q=0(\.0*)?$")


def decompress(request: Request, *, limit: BodyLimit) -> bytes:
    """Return a request's body, decompressed.

    Args:
        request: its `Content-Encoding` may be absent, identity, gzip or deflate (RFC 9110, with zlib's header).
        limit: how many bytes it may have then.

    Raises:
        HttpError: 415 for another encoding, 413 beyond the limit, 400 for damaged data.

    """
    encoding = request.headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if encoding in ("", "identity"):
        if len(request.body) > limit.size:  # the transport asks for the limit only beyond that of most bodies
            raise body_too_large(limit)
        return request.body
    if encoding not in WINDOWS:
        raise HttpError(415, f"Content-Encoding {encoding[:60]!r} is not supported; use gzip or deflate")
    inflater = zlib.decompressobj(WINDOWS[encoding])
    try:
        content = inflater.decompress(request.body, limit.size + 1)
    except zlib.error as error:
        raise HttpError(400, f"the body is not valid {encoding}: {error}") from error
    if len(content) > limit.size:
        raise HttpError(413, f"the body decompresses to more than {limit.size:,} bytes; {limit.flag} allows more")
    if not inflater.eof or inflater.unused_data:
        problem = f"continues after its {encoding} data" if inflater.eof else "is cut short"
        raise HttpError(400, f"the body {problem}")
    return content


def compress(request: Request, response: Response) -> None:
    """Compress a reply in place, if the client, who sent `Accept-Encoding`, accepts it and it is worth it.

    Errors are not compressed, nor are the protocols' metadata: some clients, such as tritonclient's for asyncio, read
    them without looking at `Content-Encoding`.
    """
    if request.method == "GET" and request.route.startswith(PROTOCOLS):
        return
    if response.status != HTTPStatus.OK or len(response.body) < WORTH_COMPRESSING:
        return
    accepted = request.headers[b"accept-encoding"].decode("latin-1").lower()
    offers = [offer.strip().partition(";") for offer in accepted.split(",")]
    wanted = {name.strip() for name, _, weight in offers if not WEIGHT_ZERO.search(weight.strip())}
    if "gzip" in wanted:
        response.body = gzip.compress(response.body, compresslevel=1, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
    elif "deflate" in wanted:
        response.body = zlib.compress(response.body, level=1)
        response.headers["Content-Encoding"] = "deflate"
    response.headers["Vary"] = "Accept-Encoding"
