"""Log lines on standard error, libraries' warnings among them: plain text, or one JSON object each."""

import json
import logging
import sys
import threading
import time
import warnings
from types import TracebackType

from .transport import Request, Response

ACCESS = "mnist_serving.http.access"
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}  # what a record holds besides its `extra`

access = logging.getLogger(ACCESS)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, message, and the record's `extra`."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        document: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in STANDARD},
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document)


class TextFormatter(logging.Formatter):
    """What a person reads: who speaks, the level if it is not the usual one, the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line; a message of several, such as one that names a file with a line break, becomes one."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return f"mnist-serving: {level}{' '.join(record.message.splitlines())}"


def configure_logs(*, as_json: bool, access: bool) -> None:
    """Send everything to standard error: the package's log, others' warnings, what nobody catches.

    Args:
        as_json: one JSON object a line, for machines.
        access: one line a request too.

    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("mnist_serving").setLevel(logging.INFO)
    warnings.showwarning = _log_warning
    sys.excepthook = _log_failure
    threading.excepthook = lambda failed: _log_failure(failed.exc_type, failed.exc_value, failed.exc_traceback)
    logging.getLogger(ACCESS).setLevel(logging.INFO if access else logging.WARNING)


def _log_warning(  # noqa: PLR0913, PLR0917 (as `warnings` calls it)
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    del file, line
    logging.getLogger("mnist_serving").warning("%s: %s (%s:%s)", category.__name__, message, filename, lineno)


def _log_failure(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    logging.getLogger("mnist_serving").critical("failed", exc_info=(kind, error or kind(), trace))


def log_access(client: str, request: Request, response: Response, seconds: float) -> None:
    """Log a request with its reply."""
    extra = {
        "client": client,
        "method": request.method or "-",
        "path": request.path,
        "status": response.status,
        "milliseconds": round(seconds * 1000, 3),
        "bytes": len(response.body),
        "request": request.request_id,
    }
    line = "%(client)s %(method)s %(path)r %(status)s %(milliseconds)s ms %(bytes)s bytes %(request)s"
    access.info(line, extra, extra=extra)
