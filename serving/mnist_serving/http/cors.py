"""Cross-origin requests (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol): which other sites' pages may ask."""

from .transport import Request, Response

EXPOSED = "Content-Encoding, Inference-Header-Content-Length, Retry-After, X-Request-Id"
SECONDS = "600"  # for which a browser may remember a preflight
ASKED = b"access-control-request-method"


class Cors:
    """The origins that may ask; with none, no header is sent."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        """Take origins as browsers send them, or `*`."""
        self._origins = frozenset(origin.encode() for origin in origins)
        self.on = bool(origins)

    def preflight(self, request: Request, methods: list[str]) -> Response | None:
        """Return the reply to a browser that asks whether it may send a request; None if there is nothing to ask."""
        if ASKED not in request.headers or not methods or not self._allowed(request):
            return None
        headers = {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": _asked_headers(request),
            "Access-Control-Max-Age": SECONDS,
        }
        return Response(200, b"", "text/plain", headers)

    def mark(self, request: Request, response: Response) -> None:
        """Say in a reply, also one of an error, that the page that asked may read it."""
        allowed = self._allowed(request)
        if allowed != "*":  # the reply depends on who asks
            response.headers["Vary"] = ", ".join(filter(None, [response.headers.get("Vary"), "Origin"]))
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Access-Control-Expose-Headers"] = EXPOSED

    def _allowed(self, request: Request) -> str:
        """Return the origin to name, or nothing."""
        if b"*" in self._origins:
            return "*"
        origin = request.headers.get(b"origin", b"")
        if not (origin or request.method) and len(self._origins) == 1:
            (origin,) = self._origins  # the head was not read; the browser compares
        return origin.decode() if origin in self._origins else ""


def _asked_headers(request: Request) -> str:
    """Return the headers that a page wants to send: none is dangerous, for the service knows no credentials."""
    return request.headers.get(b"access-control-request-headers", b"").decode("latin-1")
