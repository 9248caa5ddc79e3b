"""The command `mnist-serving serve`: its flags, and what they start."""

import argparse
import dataclasses
import errno
import importlib.util
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .errors import MnistServingError
from .http.limits import Limits
from .session import PACKAGED_MODEL

if TYPE_CHECKING:
    from .classifier import Classifier

logger = logging.getLogger("mnist_serving.http")

Number = TypeVar("Number", int, float)

LOOPBACK = ("127.0.0.1", "::1", "localhost")
NEEDED = ("httptools", "orjson", "PIL", "prometheus_client")  # of the extra `http`


class ServerError(MnistServingError):
    """The server cannot start."""


def add_serve_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `serve` to the command line."""
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Answer over HTTP: a page to draw on, POST /predict, the Open Inference Protocol under /v2, /docs.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=PACKAGED_MODEL, help="the ONNX file")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=_port, default=8000, help="0 takes a free one")
    parser.add_argument("--workers", type=_count, default=1, help="processes; each uses one core")
    parser.add_argument("--access-log", action="store_true", help="log one line a request")
    parser.add_argument("--log-json", action="store_true", help="log JSON, one object a line")
    parser.add_argument("--linger", type=_seconds, default=0.5, help="after SIGTERM, take connections for so long (s)")
    parser.add_argument("--grace", type=_seconds, default=10.0, help="after SIGTERM, end within so long (s)")
    _add_limits(parser.add_argument_group("limits"))
    parser.set_defaults(run=run_serve)


def _add_limits(group: "argparse._ArgumentGroup") -> None:
    defaults = Limits()
    for flag, name, kind, text in (
        ("--max-body", "body", _count, "bytes of a body, also after decompression"),
        ("--max-images", "images", _count, "images in a request"),
        ("--max-header", "header", _count, "bytes of a request's line and headers"),
        ("--max-chunks", "chunks", _count, "pieces of a chunked body"),
        ("--max-pixels", "pixels", _count, "pixels of a picture file"),
        ("--max-in-flight", "in_flight", _count, "requests with a body being received or worked on"),
        ("--max-connections", "connections", _count, "open connections"),
        ("--request-timeout", "request_seconds", _seconds, "for a request to arrive or a reply to be taken (s)"),
        ("--idle-timeout", "idle_seconds", _seconds, "for a connection between requests (s)"),
    ):
        group.add_argument(flag, dest=name, type=kind, default=getattr(defaults, name), help=text)


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes; return the exit code.

    Raises:
        MnistServingError: the port is taken, the model cannot be used, or packages are missing.

    """
    # Imported here and below: the other commands need not wait for them.
    from .http.logs import configure_logs
    from .http.transport.workers import run_workers

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"the server needs {', '.join(missing)}: pip install 'mnist-serving[http]'"
        raise ServerError(msg)
    configure_logs(as_json=arguments.log_json, access=arguments.access_log)
    with _listen(arguments.host, arguments.port) as listener:
        address = _address(listener)
        logger.info("listening on %s", address, extra={"facts": {"address": address}})
        if arguments.host not in LOOPBACK:
            logger.warning("%s can be reached from other machines, and nobody is asked for a password", address)
        if arguments.workers == 1:
            return _serve(arguments, listener, lambda: None)
        return run_workers(lambda ready: _serve_or_say(arguments, listener, ready), listener, count=arguments.workers)


def _serve(arguments: argparse.Namespace, listener: socket.socket, ready: Callable[[], None]) -> int:
    """Serve in this process; call `ready` once the model is loaded."""
    # Imported here also because the workers' metrics add up only if each worker imports them for itself.
    import asyncio

    from .http.service import Service
    from .http.transport.server import Ending, new_event_loop, run_server

    def load() -> "Classifier":
        from .classifier import Classifier

        classifier = Classifier(arguments.model)
        facts = {"model": str(arguments.model), "sha256": classifier.checksum}
        logger.info("model %(model)s, sha256 %(sha256)s", facts, extra={"facts": facts})
        return classifier

    limits = Limits(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Limits)})
    serving = run_server(Service(limits), listener, load, ready=ready, ending=Ending(arguments.linger, arguments.grace))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serving)
    return 0


def _serve_or_say(arguments: argparse.Namespace, listener: socket.socket, ready: Callable[[], None]) -> int:
    """Serve as one of several workers; an error is one line on standard error here too."""
    from .http.transport.workers import CANNOT_START

    try:
        return _serve(arguments, listener, ready)
    except MnistServingError as error:
        print(f"mnist-serving: error: {error}", file=sys.stderr)
        return CANNOT_START


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ServerError: the address is none, or not of this machine, or the port is taken.

    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except UnicodeError as error:
        msg = f"{host!r} is no name that a host can have"
        raise ServerError(msg) from error
    except OSError as error:
        msg = f"cannot listen on {host} port {port}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            msg = f"port {port} of {host} is taken; choose another with --port"
        raise ServerError(msg) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _port(text: str) -> int:
    return _within(int(text), 0, 65_535)


def _count(text: str) -> int:
    return _within(int(text), 1, 2**31)


def _seconds(text: str) -> float:
    return _within(float(text), 0, 86_400)


def _within(value: Number, least: float, most: float) -> Number:
    if not least <= value <= most:
        msg = f"{value} is not between {least:,} and {most:,}"
        raise argparse.ArgumentTypeError(msg)
    return value
