"""Requests that are lost while replicas are replaced or killed behind the load balancers of `deploy/`.

    python -m benchmarks.balancers [--rounds 3]

Each row is two replicas behind HAProxy or nginx with the file of `deploy/`, or with one thing in it changed, under load
by wrk with 16 connections: both replicas are stopped and started again, one after the other. A lost request is any
answer other than 200, and any connection that breaks.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import at_least_1
from benchmarks.servers import LoadRequest
from tests.balancers import Balanced, balanced
from tests.http_server import BODY

NO_RETRIES = {"retry-on conn-failure empty-response": ""}
PLAIN_CHECK = {
    "option httpchk": "",
    "http-check send meth GET uri /v2/health/ready": "",
    "http-check expect status 200": "",
    "check inter 200ms fastinter 100ms downinter 500ms fall 1 rise 1": "check",
}
SLOW_CHECK = {"inter 200ms fastinter 100ms downinter 500ms": "inter 2s"}
Changes = dict[str, str]


@dataclass(frozen=True)
class Setup:
    """A balancer, what its file has instead, how its replicas end, and whether the second waits for the first."""

    name: str
    balancer: str
    signal: int
    changes: Changes = field(default_factory=dict)
    linger: float = 2.0  # seconds
    wait: bool = True


STOP, KILL = signal.SIGTERM, signal.SIGKILL
SETUPS = (
    Setup("`haproxy.cfg`, SIGTERM", "haproxy", STOP),
    Setup("the same, the default `--linger 0.5`", "haproxy", STOP, linger=0.5),
    Setup("`haproxy.cfg`, `kill -9`", "haproxy", KILL),
    Setup("without `retry-on`, SIGTERM", "haproxy", STOP, NO_RETRIES),
    Setup("without `retry-on`, SIGTERM, `--linger 0`", "haproxy", STOP, NO_RETRIES, linger=0),
    Setup("without `retry-on`, SIGTERM, `inter 2s`, `--linger 0.5`", "haproxy", STOP, NO_RETRIES | SLOW_CHECK, 0.5),
    Setup("without `retry-on`, SIGTERM, `inter 2s`, `--linger 3`", "haproxy", STOP, NO_RETRIES | SLOW_CHECK, 3),
    Setup("without `retry-on`, `kill -9`", "haproxy", KILL, NO_RETRIES),
    Setup("a plain `check`, SIGTERM", "haproxy", STOP, PLAIN_CHECK),
    Setup("the same, the second replica does not wait", "haproxy", STOP, PLAIN_CHECK, wait=False),
    Setup("`nginx.conf`, SIGTERM", "nginx", STOP),
    Setup("`nginx.conf`, `kill -9`", "nginx", KILL),
    Setup("without `http_503 non_idempotent`, SIGTERM", "nginx", STOP, {" http_503 non_idempotent": ""}),
    Setup("without `http_503 non_idempotent`, `kill -9`", "nginx", KILL, {" http_503 non_idempotent": ""}),
)


@contextmanager
def load(port: int, folder: Path) -> Iterator[list[int]]:
    """Send requests meanwhile; yield a list that has, afterwards, how many were sent and how many were lost."""
    script = folder / "request.lua"
    script.write_text(LoadRequest("/predict", BODY).script())
    command = ["wrk", "-t1", "-c16", "-d1h", "--timeout", "30s", "-s", str(script), f"http://127.0.0.1:{port}/predict"]
    counted: list[int] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
        try:
            yield counted
        finally:
            wrk.send_signal(signal.SIGINT)  # it ends and tells
        said = wrk.communicate()[0]
    (answered,) = re.findall(r"(\d+) requests in", said)
    refused = re.findall(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.findall(r"(?:connect|read|write|timeout) (\d+)", said)
    counted += [int(answered), sum(map(int, refused + broken))]


def replace_both(system: Balanced, setup: Setup) -> None:
    """Under load, stop and start one replica after the other."""
    for number in (0, 1):
        system.wait_until_asked(number)
    for number in (0, 1):
        system.replicas[number].stop(setup.signal)
        system.start_again(number, wait=setup.wait or number == 1)


def measure(setup: Setup) -> list[int]:
    """Return how many requests a round sent, and how many of them were lost."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with balanced(setup.balancer, folder, changes=setup.changes, linger=setup.linger) as system:
            with load(system.port, folder) as counted:
                replace_both(system, setup)
            return counted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Requests that are lost while replicas are replaced or killed.")
    parser.add_argument("--rounds", type=at_least_1, default=3, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    if os.getuid() != 0 or not all(map(shutil.which, ("haproxy", "nginx", "wrk"))):
        sys.exit("run it as root (nginx writes below /var/lib) after apt-get install haproxy nginx-light wrk")
    print("| setup | requests | lost, in each round |\n| --- | --- | --- |")
    for setup in SETUPS:
        counts = [measure(setup) for _ in range(rounds)]
        lost = ", ".join(f"{count[1]:,}" for count in counts)
        print(f"| {setup.name} | {sum(count[0] for count in counts):,} | {lost} |", flush=True)


if __name__ == "__main__":
    main()
