"""The command `mnist-serving serve`: its flags, and what they start."""

import argparse
import dataclasses
import importlib.util
import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_serving.classifier import PACKAGED_MODEL, Classifier
from mnist_serving.errors import MnistServingError

from .limits import Limits
from .logs import configure_logs
from .settings import (
    COUNT,
    PIXELS,
    PORT,
    SECONDS,
    WAIT,
    Parser,
    Repeated,
    origins,
    proxies,
    root_path,
    take_environment,
)

if TYPE_CHECKING:
    from .prometheus import Rows

logger = logging.getLogger("mnist_serving.http")

NEEDED = {  # what the extra `http` installs, by the names that are imported
    "httptools": "httptools",
    "orjson": "orjson",
    "PIL": "pillow",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
}


class ServerError(MnistServingError):
    """The server cannot start."""


def add_serve_command(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add `serve` to the command line."""
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Answer over HTTP: a drawing page, POST /predict, the Open Inference Protocol under /v2, /docs. "
        "Each flag may also be given in the environment variable named beside it.",
    )
    add = parser.add_argument
    lists: dict[str, Any] = {"action": Repeated, "default": ()}
    add("--model", type=Path, default=PACKAGED_MODEL, help="an ONNX file; default: the one in the package")
    add("--host", default="127.0.0.1", help="the address to listen on")
    add("--port", type=PORT, default=8000, help="the port to listen on; 0 picks a free one")
    add("--uds", type=Path, metavar="PATH", help="a Unix socket to listen on, in place of host and port")
    add("--root-path", type=root_path, default="", metavar="PATH", help="the path below which a proxy offers it")
    text = "a site whose pages may use the service, or *; repeatable"
    add("--cors-origin", dest="origins", type=origins, metavar="ORIGIN", help=text, **lists)
    text = "a proxy or network whose X-Forwarded-For the access log believes, or unix; repeatable"
    add("--trusted-proxy", dest="proxies", type=proxies, metavar="ADDRESS", help=text, **lists)
    add("--workers", type=COUNT, default=1, metavar="N", help="how many processes; each uses one core")
    add("--access-log", action="store_true", help="log one line a request")
    add("--log-json", action="store_true", help="log one JSON object a line")
    add("--linger", type=SECONDS, default=0.5, metavar="SECONDS", help="how long to accept connections after SIGTERM")
    add("--grace", type=SECONDS, default=10.0, metavar="SECONDS", help="how long SIGTERM may take to end it, at most")
    _add_limits(parser.add_argument_group("limits"))
    take_environment(parser)
    parser.set_defaults(run=run_serve)


def _add_limits(group: "argparse._ArgumentGroup") -> None:
    defaults = Limits()
    for flag, name, kind, text in (
        ("--max-body", "body", COUNT, "bytes in a body, also after decompression"),
        ("--max-picture", "picture", COUNT, "bytes in a body of picture files, also after decompression"),
        ("--max-parts", "parts", COUNT, "parts of a form, and picture files in a JSON body"),
        ("--max-images", "images", COUNT, "images in a request"),
        ("--max-header", "header", COUNT, "bytes in a request's first line and headers"),
        ("--max-chunks", "chunks", COUNT, "chunks in a chunked body"),
        ("--max-pixels", "pixels", PIXELS, "pixels in a picture file"),
        ("--max-in-flight", "in_flight", COUNT, "requests with a body being received or worked on"),
        ("--max-large-in-flight", "large_in_flight", COUNT, "of those, how many may be larger than --max-body"),
        ("--max-connections", "connections", COUNT, "open connections"),
        ("--request-timeout", "request_seconds", WAIT, "for a request to arrive or a reply to be read"),
        ("--idle-timeout", "idle_seconds", WAIT, "that a connection may stay open between requests"),
    ):
        unit = "SECONDS" if kind is WAIT else "N"
        group.add_argument(flag, dest=name, type=kind, default=getattr(defaults, name), metavar=unit, help=text)


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal arrives; return the exit code. Whatever cannot be used is logged."""
    if os.name == "nt":
        raise MnistServingError("`serve` needs Linux or macOS")
    # Imported here and below, so that the other commands start without it.
    from .listening import listening

    configure_logs(as_json=arguments.log_json, access=arguments.access_log)
    try:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise ServerError(
                f"the server needs {', '.join(missing)}: pip install {' '.join(NEEDED[name] for name in missing)}"
            )
        with listening(arguments.host, arguments.port, arguments.uds) as listeners:
            return _serve_on(arguments, listeners)
    except (MnistServingError, OSError) as error:
        logger.error("%s", error)  # noqa: TRY400 (a person can put it right: no traceback)
        return 1


def _serve_on(arguments: argparse.Namespace, listeners: list[socket.socket]) -> int:
    from .listening import describe, fit_connections, is_open

    for listener in listeners:
        address = describe(listener)
        logger.info("listening on %s", address, extra={"address": address})
        if is_open(listener):
            logger.warning("%s is open to other machines, without authentication", address)
    wanted, arguments.connections = arguments.connections, fit_connections(arguments.connections)
    if arguments.connections < wanted:
        logger.warning(
            "at most %s connections, not %s: the process may not open more files; raise `ulimit -n`",
            arguments.connections,
            wanted,
        )
    from .prometheus import Rows
    from .transport import Supervisor

    rows = Rows(arguments.workers)
    if arguments.workers == 1:
        return _serve(arguments, listeners, rows, lambda: None)
    return Supervisor(partial(_work, arguments, listeners, rows), listeners, count=arguments.workers).run()


def _work(
    arguments: argparse.Namespace, listeners: list[socket.socket], rows: "Rows", place: int, ready: Callable[[], None]
) -> int:
    """Serve as one worker of several; log why if it cannot."""
    from .transport import CANNOT_START

    rows.place = place
    try:
        return _serve(arguments, listeners, rows, ready)
    except (MnistServingError, OSError) as error:
        logger.error("%s", error)  # noqa: TRY400 (as above)
    except Exception:
        logger.exception("the worker failed")
    return CANNOT_START


def _serve(
    arguments: argparse.Namespace, listeners: list[socket.socket], rows: "Rows", ready: Callable[[], None]
) -> int:
    """Serve in this process; call `ready` once the model is loaded."""
    import asyncio

    from .service import Service
    from .transport import ShutdownTimeouts, new_event_loop, run_server

    limits = Limits(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Limits)})
    paths_and_sites = {name: getattr(arguments, name) for name in ("root_path", "origins", "proxies")}
    service = Service(limits, **paths_and_sites, rows=rows)

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
        runner.run(run_server(service, listeners, load if alone else None, ready=ready, timeouts=timeouts))
    return 0
