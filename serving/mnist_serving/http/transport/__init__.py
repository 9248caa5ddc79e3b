"""The HTTP/1.1 transport: bytes to requests, connections, draining, worker processes. It knows no model.

These names are its door; nothing outside imports from behind it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .http_types import RETRY, HttpError, Request, Response, add_header, body_too_large, too_many
from .limits import BodyLimit, TransportLimits

if TYPE_CHECKING:
    from .batcher import Batcher
    from .server import ShutdownTimeouts, new_event_loop, run_server
    from .workers import CANNOT_START, Supervisor

__all__ = [
    "CANNOT_START",
    "RETRY",
    "Batcher",
    "BodyLimit",
    "HttpError",
    "Request",
    "Response",
    "ShutdownTimeouts",
    "Supervisor",
    "TransportLimits",
    "add_header",
    "body_too_large",
    "new_event_loop",
    "run_server",
    "too_many",
]

_MODULES = {
    "Batcher": "batcher",
    "CANNOT_START": "workers",
    "ShutdownTimeouts": "server",
    "Supervisor": "workers",
    "new_event_loop": "server",
    "run_server": "server",
}


def __getattr__(name: str) -> object:
    """Import what only a running server needs when it is asked for: `serve --help` needs none of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
