"""The command `mnist-serving serve`: its flags, and what they start."""

import argparse
import dataclasses
import errno
import importlib.util
import logging
import math
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mnist_serving.classifier import PACKAGED_MODEL, Classifier
from mnist_serving.errors import MnistServingError

from .limits import Limits

logger = logging.getLogger("mnist_serving.http")

LOOPBACK = ("127.0.0.1", "::1", "localhost")
NEEDED = ("httptools", "orjson", "PIL", "prometheus_client")  # from the extra `http`


def _number(kind: type[int] | type[float], least: float, most: float, text: str) -> float:
    """Parse a number for `argparse`."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        msg = f"must be a {'whole ' if kind is int else ''}number from {least:,} to {most:,}, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return value


PORT = partial(_number, int, 0, 65_535)
COUNT = partial(_number, int, 1, 2**31)
SECONDS = partial(_number, float, 0, 86_400)


class ServerError(MnistServingError):
    """The server cannot start."""


def add_serve_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `serve` to the command line."""
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Answer over HTTP: a drawing page, POST /predict, the Open Inference Protocol under /v2, /docs.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=PACKAGED_MODEL, help="the ONNX file")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=PORT, default=8000, help="the port to listen on; 0 picks a free one")
    parser.add_argument("--workers", type=COUNT, default=1, help="how many processes; each uses one core")
    parser.add_argument("--access-log", action="store_true", help="log one line a request")
    parser.add_argument("--log-json", action="store_true", help="log one JSON object a line")
    parser.add_argument("--linger", type=SECONDS, default=0.5, help="seconds to accept connections after SIGTERM")
    parser.add_argument("--grace", type=SECONDS, default=10.0, help="seconds from SIGTERM to the end, at most")
    _add_limits(parser.add_argument_group("limits"))
    parser.set_defaults(run=run_serve)


def _add_limits(group: "argparse._ArgumentGroup") -> None:
    defaults = Limits()
    for flag, name, kind, text in (
        ("--max-body", "body", COUNT, "bytes in a body, also after decompression"),
        ("--max-images", "images", COUNT, "images in a request"),
        ("--max-header", "header", COUNT, "bytes in a request's first line and headers"),
        ("--max-chunks", "chunks", COUNT, "chunks in a chunked body"),
        ("--max-pixels", "pixels", COUNT, "pixels in a picture file"),
        ("--max-in-flight", "in_flight", COUNT, "requests with a body being received or worked on"),
        ("--max-connections", "connections", COUNT, "open connections"),
        ("--request-timeout", "request_seconds", SECONDS, "seconds for a request to arrive or a reply to be read"),
        ("--idle-timeout", "idle_seconds", SECONDS, "seconds a connection may stay open between requests"),
    ):
        group.add_argument(flag, dest=name, type=kind, default=getattr(defaults, name), help=text)


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal arrives; return the exit code.

    Raises:
        MnistServingError: the port is taken, the model cannot be used, or packages are missing.

    """
    # Imported here and below, so that the other commands start without it.
    from .logs import configure_logs

    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"the server needs {', '.join(missing)}: pip install 'mnist-serving[http]'"
        raise ServerError(msg)
    configure_logs(as_json=arguments.log_json, access=arguments.access_log)
    with _listen(arguments.host, arguments.port) as listener:
        address = _address(listener)
        logger.info("listening on %s", address, extra={"address": address})
        if arguments.host not in LOOPBACK:
            logger.warning("%s is open to other machines, without authentication", address)
        if arguments.workers == 1:
            return _serve(arguments, listener, lambda: None)
        return _serve_by_workers(arguments, listener)


def _serve(arguments: argparse.Namespace, listener: socket.socket, ready: Callable[[], None]) -> int:
    """Serve in this process; call `ready` once the model is loaded."""
    import asyncio

    from .service import Service
    from .transport.server import ShutdownTimeouts, new_event_loop, run_server

    limits = Limits(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Limits)})
    service = Service(limits)

    def load() -> None:
        classifier = Classifier(arguments.model)
        extra = {"model": str(arguments.model), "sha256": classifier.checksum}
        logger.info("model %(model)s, sha256 %(sha256)s", extra, extra=extra)
        service.open(classifier)

    alone = arguments.workers == 1
    if not alone:
        load()  # before it listens: until then the others answer
    timeouts = ShutdownTimeouts(arguments.linger, arguments.grace)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run_server(service, listener, load if alone else None, ready=ready, timeouts=timeouts))
    return 0


def _serve_by_workers(arguments: argparse.Namespace, listener: socket.socket) -> int:
    """Serve in several processes; Prometheus' client adds up their metrics in a folder."""
    with tempfile.TemporaryDirectory(prefix="mnist-serving-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # read when the client is imported
        from prometheus_client.multiprocess import mark_process_dead

        from .transport.workers import CANNOT_START, Supervisor

        def work(ready: Callable[[], None]) -> int:
            try:
                return _serve(arguments, listener, ready)
            except MnistServingError as error:
                print(f"mnist-serving: error: {error}", file=sys.stderr)
                return CANNOT_START

        return Supervisor(work, listener, count=arguments.workers, died=mark_process_dead).run()


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ServerError: the host is not valid or not this machine, or the port is taken.

    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (UnicodeError, OSError) as error:
        if isinstance(error, UnicodeError):
            msg = f"{host!r} is not a valid host name; choose another with --host"
        elif error.errno == errno.EADDRINUSE:
            msg = f"port {port} of {host} is taken; choose another with --port"
        else:
            msg = f"cannot listen on {host} port {port}: {error.strerror or error}"
        raise ServerError(msg) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
