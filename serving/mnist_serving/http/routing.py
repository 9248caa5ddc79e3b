"""Which handler answers a request: its path chooses the route, its method the handler."""

from collections.abc import Callable
from urllib.parse import quote, unquote

from .infer_reply import MODEL_NAME, MODEL_VERSION
from .jobs import Job
from .transport import HttpError, Request, Response

Handler = Callable[[Request], Response | Job]
Route = tuple[str, dict[str, Handler]]  # its name in the metrics, and its handlers by method

UNKNOWN: Route = ("other", {})


def find_route(routes: dict[str, Route], path: str) -> Route:
    """Return the route of a path, which may have parts that are percent-encoded without need."""
    return routes.get(path) or routes.get(_decoded(path)) or UNKNOWN


def path_below(root: str, path: str) -> str:
    """Return a path without the one that the application is mounted at, or as it is if a proxy has taken that off.

    Args:
        root: decoded, empty or with a slash in front and none behind.
        path: percent-encoded.

    """
    parts = path.split("/")
    count = root.count("/") + 1
    if not root or _decoded("/".join(parts[:count])) != root:
        return path
    return "".join(f"/{part}" for part in parts[count:])


def find_handler(request: Request, handlers: dict[str, Handler]) -> Handler:
    """Return a route's handler for the request's method.

    Raises:
        HttpError: 404, 405, or the error of a transport that could not read the request.

    """
    if request.error is not None:
        raise request.error
    if not handlers:
        raise HttpError(404, _not_found(request.root_path, request.path))
    handler = handlers.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        allowed = ", ".join([*handlers, *(["HEAD"] if "GET" in handlers else [])])
        raise HttpError(405, f"{request.method[:20]} is not allowed here; use {allowed}", {"Allow": allowed})
    return handler


def _decoded(path: str) -> str:
    """Return a path with its parts decoded, except those that would then hold a slash."""
    parts = [(part, unquote(part)) for part in path.split("/")]
    return "/".join(part if "/" in decoded else decoded for part, decoded in parts)


def _not_found(root: str, path: str) -> str:
    """Say which part of a path is unknown."""
    parts = _decoded(path_below(root, path)).split("/")
    if parts[1:3] in (["v1", "models"], ["v2", "models"]) and len(parts) > 3:  # noqa: PLR2004 (/v2/models/NAME/...)
        name = parts[3].partition(":")[0] if parts[1] == "v1" else parts[3]
        if name != MODEL_NAME:
            return f"unknown model {name[:60]!r}; the model is {MODEL_NAME!r}"
        if parts[4:5] == ["versions"] and parts[5:6] != [MODEL_VERSION]:
            return f"unknown version {'/'.join(parts[5:6])[:60]!r} of {MODEL_NAME!r}; its version is {MODEL_VERSION!r}"
    return f"unknown path {path[:200]!r}; {quote(root)}/docs lists the paths"
