"""Log lines on standard error: plain text, or one JSON object each."""

import json
import logging
import sys
import time

ACCESS = "mnist_serving.http.access"
STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}  # what a record holds besides its `extra`


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


def configure_logs(*, as_json: bool, access: bool) -> None:
    """Send the package's log to standard error.

    Args:
        as_json: one JSON object a line, for machines.
        access: one line a request too.

    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter("mnist-serving: %(message)s"))
    package = logging.getLogger("mnist_serving")
    package.handlers[:] = [handler]
    package.setLevel(logging.INFO)
    package.propagate = False
    logging.getLogger(ACCESS).setLevel(logging.INFO if access else logging.WARNING)
