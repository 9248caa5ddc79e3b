"""A long load on our server: does its memory grow, does it leave file descriptors open?

    python -m benchmarks.soak [--requests 1000000]

wrk sends valid requests of three kinds and invalid ones of three, over 16 connections, new ones in each run. Memory is
compared with that after the first 10,000 requests. Exit code 1 if it has grown by more than 5 MB, or if a file
descriptor is left open.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time

import psutil

from benchmarks import at_least_1
from benchmarks.servers import LoadRequest, contenders, infer_binary, infer_json, running

WARM = 10_000  # requests before memory is first read
MOST_GROWTH = 5.0  # MB
SLICE = 5  # seconds of load between looks
PATIENCE = 10  # seconds for connections to close
SCRIPT = """
local requests, number = {%s}, 0
request = function()
  number = number + 1
  return requests[number %% #requests + 1]
end
"""


def load_requests() -> list[LoadRequest]:
    """Return the requests: three that are answered, three that are refused."""
    good = [next(c for c in contenders() if c.name == "ours, /predict").request]
    good += [LoadRequest("/v2/models/mnist/infer", infer_json()), infer_binary()]
    short = json.dumps({"image": [0] * 783}).encode()
    bad = [
        LoadRequest("/predict", short),
        LoadRequest("/predict", b"\xff"),
        LoadRequest("/v2/models/iris/infer", b"{}"),
    ]
    return [*good, *bad]


def load(port: int) -> int:
    """Put the server under load for a while; return the number of answered requests."""
    requests = ",\n".join(request.expression() for request in load_requests())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % requests)
        script.flush()
        command = ["wrk", "-t1", "-c16", f"-d{SLICE}s", "-s", script.name, f"http://127.0.0.1:{port}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) requests in", said)
    if found is None or "Socket errors" in said:
        raise RuntimeError(said)
    return int(found[1])


def open_files(process: psutil.Process) -> int:
    """Return the number of file descriptors, once the connections are closed."""
    end = time.monotonic() + PATIENCE
    while len(process.net_connections(kind="tcp")) > 1 and time.monotonic() < end:  # the listening one stays
        time.sleep(0.1)
    return process.num_fds()


def main() -> None:
    """Put the server under load, measure now and then, print the verdict."""
    parser = argparse.ArgumentParser(description="Soak the server.")
    parser.add_argument("--requests", type=at_least_1, default=1_000_000, help="default: %(default)s")
    wanted = parser.parse_args().requests
    ours = next(contender for contender in contenders() if contender.name == "ours, /predict")
    with running(ours, core=0) as (port, started, _):
        process = psutil.Process(started.pid)
        answered = 0
        while answered < WARM:
            answered += load(port)
        files, memory = open_files(process), process.memory_info().rss
        while answered < wanted:
            answered += load(port)
            growth = (process.memory_info().rss - memory) / 1e6
            print(
                f"{answered:,} requests, memory {process.memory_info().rss / 1e6:.1f} MB, {growth:+.1f} MB", flush=True
            )
        left = open_files(process) - files
        growth = (process.memory_info().rss - memory) / 1e6
    print(f"{answered:,} requests: memory {growth:+.1f} MB since the first {WARM:,}, {left} file descriptors left open")
    sys.exit(growth > MOST_GROWTH or left > 0)


if __name__ == "__main__":
    main()
