"""Two replicas behind one of the load balancers of `deploy/`, and clients that count every answer and failure."""

import http.client
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

from tests.http_server import ENVIRONMENT, PATIENCE, ROOT, Server, eventually, running_server
from tests.programs import require

DEPLOY = ROOT / "deploy"
JSON = "application/json"
CLIENTS = 8
SOME = 300  # answers that are enough to see a change by
Outcome = tuple[int | str, bytes]
Changes = Mapping[str, str]
NOTHING: Changes = MappingProxyType({})


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def change(file: str, changes: Changes) -> str:
    """Return a file of `deploy/` with some texts, each of which it has once, replaced by others."""
    text = (DEPLOY / file).read_text(encoding="utf-8")
    for written, instead in changes.items():
        assert text.count(written) == 1, written
        text = text.replace(written, instead)
    return text


def start_haproxy(port: int, replicas: list[int], folder: Path, changes: Changes) -> subprocess.Popen[bytes]:
    """Start HAProxy, with its addresses in the environment."""
    (folder / "haproxy.cfg").write_text(change("haproxy.cfg", changes))
    one, two = (f"127.0.0.1:{replica}" for replica in replicas)
    places = {"MNIST_BIND": f"127.0.0.1:{port}", "MNIST_STATS": f"unix@{folder}/s", "MNIST_ONE": one, "MNIST_TWO": two}
    with (folder / "log").open("w") as log:
        command = ["haproxy", "-f", str(folder / "haproxy.cfg")]
        return subprocess.Popen(command, env=ENVIRONMENT | places, stdout=log, stderr=log)


def start_nginx(port: int, replicas: list[int], folder: Path, changes: Changes) -> subprocess.Popen[bytes]:
    """Start nginx, with its addresses written into a copy of the file."""
    one, two = (f"server 127.0.0.1:{replica}" for replica in replicas)
    places = {"listen 8080": f"listen 127.0.0.1:{port}", "server 127.0.0.1:8001": one, "server 127.0.0.1:8002": two}
    (folder / "nginx.conf").write_text(change("nginx.conf", {**places, **changes}))
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


def ask(port: int, method: str, path: str, body: bytes = b"", kind: str = JSON) -> Outcome:
    """Send a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        return send(connection, method, path, body, kind)
    finally:
        connection.close()


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

    def __init__(self, name: str, folder: Path, stack: ExitStack, changes: Changes, linger: float) -> None:
        """Start all three; the stack ends them."""
        self._stack, self._linger = stack, linger
        self.port, ports = free_port(), [free_port(), free_port()]
        self.replicas = [self._start(port) for port in ports]
        balancer = BALANCERS[name](self.port, ports, folder, changes)
        stack.callback(balancer.wait, PATIENCE)
        stack.callback(balancer.terminate)
        eventually(lambda: self.call("GET", "/v2/health/ready")[0] == 200, (folder / "log").read_text)

    def _start(self, port: int) -> Server:
        command = ("-m", "mnist_serving", "serve", "--port", str(port), "--linger", str(self._linger))
        return self._stack.enter_context(running_server(command=command))

    def call(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> Outcome:
        """Send a request to the balancer, on a connection of its own."""
        return ask(self.port, method, path, body, kind)

    def start_again(self, number: int, *, wait: bool = True) -> None:
        """Start a replica that has ended, and wait until the balancer gives it requests."""
        self.replicas[number] = self._start(self.replicas[number].port)
        if wait:
            self.wait_until_asked(number)

    def wait_until_asked(self, number: int) -> None:
        """Wait until a replica has answered a request under load."""
        asked = b'mnist_requests_total{route="/predict",status="200"}'
        metrics = partial(self.replicas[number].call, "GET", "/metrics")
        eventually(lambda: asked in metrics().body, "the balancer to see the replica up")


@contextmanager
def balanced(name: str, folder: Path, *, changes: Changes = NOTHING, linger: float = 2.0) -> Iterator[Balanced]:
    """Run two replicas behind a balancer whose file has some texts replaced; skip where it is missing."""
    require(name)
    with ExitStack() as stack:
        yield Balanced(name, folder, stack, changes, linger)
