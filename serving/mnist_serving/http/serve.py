"""The command `mnist-serving serve`: its flags, and what they start."""

import argparse
import dataclasses
import importlib.util
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mnist_serving.classifier import PACKAGED_MODEL, Classifier
from mnist_serving.errors import MnistServingError

from .limits import Limits
from .settings import COUNT, PORT, SECONDS, Repeated, origins, proxies, root_path, take_environment

logger = logging.getLogger("mnist_serving.http")

NEEDED = {  # what the extra `http` installs, by the names that are imported
    "httptools": "httptools",
    "orjson": "orjson",
    "PIL": "pillow",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
}
METRICS_FOLDERS = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")  # read when its client is imported


class ServerError(MnistServingError):
    """The server cannot start."""


def add_serve_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `serve` to the command line."""
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Answer over HTTP: a drawing page, POST /predict, the Open Inference Protocol under /v2, /docs. "
        "Each flag may also be given in the environment variable named beside it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=PACKAGED_MODEL, help="the ONNX file")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=PORT, default=8000, help="the port to listen on; 0 picks a free one")
    parser.add_argument(
        "--uds", type=Path, metavar="PATH", help="a Unix socket to listen on, in place of host and port"
    )
    parser.add_argument("--root-path", type=root_path, default="", help="the path below which a proxy offers it")
    parser.add_argument(
        "--cors-origin",
        dest="origins",
        type=origins,
        action=Repeated,
        default=(),
        metavar="ORIGIN",
        help="a site whose pages may use the service, or *; repeatable",
    )
    parser.add_argument(
        "--trusted-proxy",
        dest="proxies",
        type=proxies,
        action=Repeated,
        default=(),
        metavar="ADDRESS",
        help="a proxy or network whose X-Forwarded-For the access log believes, or unix; repeatable",
    )
    parser.add_argument("--workers", type=COUNT, default=1, help="how many processes; each uses one core")
    parser.add_argument("--access-log", action="store_true", help="log one line a request")
    parser.add_argument("--log-json", action="store_true", help="log one JSON object a line")
    parser.add_argument("--linger", type=SECONDS, default=0.5, help="seconds to accept connections after SIGTERM")
    parser.add_argument("--grace", type=SECONDS, default=10.0, help="seconds from SIGTERM to the end, at most")
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
        ("--max-pixels", "pixels", COUNT, "pixels in a picture file"),
        ("--max-in-flight", "in_flight", COUNT, "requests with a body being received or worked on"),
        ("--max-large-in-flight", "large_in_flight", COUNT, "of these, with a body larger than --max-body"),
        ("--max-connections", "connections", COUNT, "open connections"),
        ("--request-timeout", "request_seconds", SECONDS, "seconds for a request to arrive or a reply to be read"),
        ("--idle-timeout", "idle_seconds", SECONDS, "seconds a connection may stay open between requests"),
    ):
        group.add_argument(flag, dest=name, type=kind, default=getattr(defaults, name), help=text)


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal arrives; return the exit code.

    Raises:
        MnistServingError: packages are missing. Whatever else cannot be used is logged.

    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        msg = f"the server needs {', '.join(missing)}: pip install {' '.join(NEEDED[name] for name in missing)}"
        raise ServerError(msg)
    # Imported here and below, so that the other commands start without it.
    from .listening import close, listen, listen_at
    from .logs import configure_logs

    configure_logs(as_json=arguments.log_json, access=arguments.access_log)
    for name in METRICS_FOLDERS:
        os.environ.pop(name, None)  # other programs', or of a former run
    try:
        listeners = [listen_at(arguments.uds)] if arguments.uds else listen(arguments.host, arguments.port)
        try:
            return _serve_on(arguments, listeners)
        finally:
            close(listeners)
            if arguments.uds:
                arguments.uds.unlink(missing_ok=True)
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
    if arguments.workers == 1:
        return _serve(arguments, listeners, lambda: None)
    return _serve_by_workers(arguments, listeners)


def _serve(arguments: argparse.Namespace, listeners: list[socket.socket], ready: Callable[[], None]) -> int:
    """Serve in this process; call `ready` once the model is loaded."""
    import asyncio

    from .service import Service
    from .transport.server import ShutdownTimeouts, new_event_loop, run_server

    limits = Limits(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Limits)})
    service = Service(limits, root_path=arguments.root_path, origins=arguments.origins, proxies=arguments.proxies)

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


def _serve_by_workers(arguments: argparse.Namespace, listeners: list[socket.socket]) -> int:
    """Serve in several processes; Prometheus' client adds up their metrics in a folder."""
    try:
        temporary = tempfile.TemporaryDirectory(prefix="mnist-serving-", ignore_cleanup_errors=True)
    except OSError as error:
        msg = (
            "several workers add up their metrics in a temporary folder, and none can be written to: mount one, "
            "such as --tmpfs /tmp, or name one in TMPDIR"
        )
        raise ServerError(msg) from error
    with temporary as folder:
        os.environ[METRICS_FOLDERS[0]] = folder
        from prometheus_client.multiprocess import mark_process_dead

        from .transport.workers import CANNOT_START, Supervisor

        def work(ready: Callable[[], None]) -> int:
            try:
                Path(folder).mkdir(parents=True, exist_ok=True)  # whoever cleans temporary folders may have removed it
                return _serve(arguments, listeners, ready)
            except (MnistServingError, OSError) as error:
                logger.error("%s", error)  # noqa: TRY400 (as above)
            except Exception:
                logger.exception("the worker failed")
            return CANNOT_START

        def forget(pid: int) -> None:
            with suppress(OSError):
                mark_process_dead(pid)  # type: ignore[no-untyped-call]

        return Supervisor(work, listeners, count=arguments.workers, died=forget).run()
