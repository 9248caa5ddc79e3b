"""Two replicas behind one of the load balancers of `deploy/`, and clients that count every answer and failure."""

import http.client
import os
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.http_server import ENVIRONMENT, PATIENCE, ROOT, Server, eventually, running_server
from tests.programs import require

DEPLOY = ROOT / "deploy"
JSON = "application/json"
CLIENTS = 8
SOME = 300  # answers that are enough to see a change by
Outcome = tuple[int | str, bytes]


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def start_haproxy(port: int, replicas: list[int], folder: Path) -> subprocess.Popen[bytes]:
    """Start HAProxy, with its addresses in the environment."""
    one, two = (f"127.0.0.1:{replica}" for replica in replicas)
    places = {"MNIST_BIND": f"127.0.0.1:{port}", "MNIST_STATS": f"unix@{folder}/s", "MNIST_ONE": one, "MNIST_TWO": two}
    with (folder / "log").open("w") as log:
        command = ["haproxy", "-f", str(DEPLOY / "haproxy.cfg")]
        return subprocess.Popen(command, env=ENVIRONMENT | places, stdout=log, stderr=log)


def start_nginx(port: int, replicas: list[int], folder: Path) -> subprocess.Popen[bytes]:
    """Start nginx, with its addresses written into a copy of the file."""
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for written, chosen in zip(
        ("listen 8080", "server 127.0.0.1:8001", "server 127.0.0.1:8002"), (port, *replicas), strict=True
    ):
        assert text.count(written) == 1
        text = text.replace(written, f"{written.split()[0]} 127.0.0.1:{chosen}")
    (folder / "nginx.conf").write_text(text)
    here = f"daemon off; pid {folder}/nginx.pid;"
    with (folder / "log").open("w") as log:
        command = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", here]
        return subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)


BALANCERS = {"haproxy": start_haproxy, "nginx": start_nginx}


def send(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", kind: str = JSON
) -> Outcome:
    """Send a request; return the status and body of the reply, or the failure."""
    try:
        connection.request(method, path, body or None, {"Content-Type": kind})
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return repr(error), b""


class Load:
    """Clients that ask one request after another, on connections that they keep."""

    def __init__(self, port: int, body: bytes, expected: bytes) -> None:
        """Take where to, what to send, and the right answer."""
        self.port, self.body, self.expected = port, body, expected
        self.outcomes: Counter[int | str] = Counter()
        self._stopped = threading.Event()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        while not self._stopped.is_set():
            status, body = send(connection, "POST", "/predict", self.body)
            self.outcomes[status if status != 200 or body == self.expected else "another answer"] += 1
        connection.close()

    def more(self) -> None:
        """Wait until some more requests are answered."""
        goal = self.outcomes.total() + SOME
        eventually(lambda: self.outcomes.total() >= goal, lambda: f"more than {dict(self.outcomes)}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask while the block runs."""
        threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            self.more()
            yield
            self.more()
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()


class Balanced:
    """Two replicas and the balancer in front of them."""

    def __init__(self, name: str, folder: Path, stack: ExitStack) -> None:
        """Start all three; the stack ends them."""
        self._stack = stack
        self.port, ports = free_port(), [free_port(), free_port()]
        self.replicas = [self._start(port) for port in ports]
        balancer = BALANCERS[name](self.port, ports, folder)
        stack.callback(balancer.wait, PATIENCE)
        stack.callback(balancer.terminate)
        eventually(lambda: self.call("GET", "/v2/health/ready")[0] == 200, (folder / "log").read_text)

    def _start(self, port: int) -> Server:
        command = ("-m", "mnist_serving", "serve", "--port", str(port), "--linger", "2")
        return self._stack.enter_context(running_server(command=command))

    def call(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> Outcome:
        """Send a request to the balancer, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            return send(connection, method, path, body, kind)
        finally:
            connection.close()

    def start_again(self, number: int) -> None:
        """Start a replica that has ended, and wait until the balancer gives it requests."""
        self.replicas[number] = server = self._start(self.replicas[number].port)
        asked = b'mnist_requests_total{route="/predict",status="200"}'
        eventually(lambda: asked in server.call("GET", "/metrics").body, "the balancer to see the replica up")


@contextmanager
def balanced(name: str, folder: Path) -> Iterator[Balanced]:
    """Run two replicas behind a balancer; skip where it is missing."""
    require(name)
    if name == "nginx" and os.getuid() != 0:
        pytest.skip("did not run: Debian's nginx writes below /var/lib/nginx, where only root may")
    with ExitStack() as stack:
        yield Balanced(name, folder, stack)
