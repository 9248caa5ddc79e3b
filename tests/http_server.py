"""A started server for the tests, and plain ways to talk to it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "serving"), "PYTHONUNBUFFERED": "1"}
PATIENCE = 60  # seconds, for anything that must happen

BODY = json.dumps({"image": [0] * 784}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
PREDICT = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
READY = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"
LAST = READY[:-2] + CLOSE


@dataclass
class Reply:
    """A reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 (JSON is what it is)
        """Return the body, parsed."""
        return json.loads(self.body)


@dataclass
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[str]
    log: list[str]  # the lines up to "ready"

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        """Send a request; underscores in the headers' names become hyphens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body or None, named)
            reply = connection.getresponse()
            return Reply(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def send(self, raw: bytes) -> bytes:
        """Send bytes, and return everything that arrives until the server closes."""
        with self.connect() as connection:
            connection.sendall(raw)
            return read_all(connection)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def read_all(connection: socket.socket) -> bytes:
    """Return what arrives until the other side closes or resets the connection."""
    content = b""
    try:
        while piece := connection.recv(65_536):
            content += piece
    except ConnectionError:
        pass
    return content


def statuses(raw: bytes) -> list[int]:
    """Return the statuses of the replies in a stream, including interim ones."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", raw)]


SERVE = ("-m", "mnist_serving", "serve", "--linger", "0")
FREE_PORT = ("--port", "0")


def start(
    *flags: str,
    environment: Mapping[str, str] = ENVIRONMENT,
    command: Sequence[str] = SERVE,
    port: Sequence[str] = FREE_PORT,
) -> subprocess.Popen[str]:
    """Start `mnist-serving serve` on a free port, or another command of Python."""
    words = [sys.executable, *command, *(port if command is SERVE else ()), *flags]
    return subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)


@contextmanager
def running_server(
    *flags: str,
    environment: Mapping[str, str] = ENVIRONMENT,
    command: Sequence[str] = SERVE,
    port: Sequence[str] = FREE_PORT,
) -> Iterator[Server]:
    """Run a server until it is ready; end it afterwards."""
    process = start(*flags, environment=environment, command=command, port=port)
    if process.stderr is None:
        raise AssertionError
    log: list[str] = []
    try:
        for line in process.stderr:
            log.append(line)
            if "ready" in line:
                break
        found = re.search(r"http://127\.0\.0\.1:(\d+)", "".join(log))
        assert found, f"the server did not start: {log}"
        yield Server(int(found.group(1)), process, log)
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stderr.close()


def eventually(condition: Callable[..., object], what: str | Callable[[], str]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still waiting for {what if isinstance(what, str) else what()}"
        time.sleep(0.02)
