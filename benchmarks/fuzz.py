"""Thousands of damaged requests to our server, which must answer each in the right form or close the connection.

    python -m benchmarks.fuzz [--cases 5000] [--seed 0]

Valid requests are cut, repeated, mixed, and have bytes replaced, anywhere from the request line to the pixels. Exit
code 1, and the request, if a reply is a 5xx or an error is not `{"error": ...}`, if the server does not close the
connection, or if it does not answer a valid request afterwards.
"""

import argparse
import gzip
import json
import random
import re
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from benchmarks import at_least_1
from benchmarks.servers import contenders, infer_binary, infer_json, running

PATIENCE = 30  # seconds for a reply and the close
SPECIAL = (
    b"",
    b"\0",
    b"\r\n",
    b"\r\n\r\n",
    b"-1",
    b"99999999999999999999",
    b"NaN",
    b"1e400",
    b"[" * 2000,
    b"\xff",
    b'"',
)
HEADERS = (
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Inference-Header-Content-Length: 0",
    b"Expect: 100-continue",
    b"Connection: upgrade\r\nUpgrade: h2c",
    b"Content-Type: image/png",
    b"Content-Type: image/jpeg",
    b"Accept-Encoding: gzip",
)


def good_requests() -> list[bytes]:
    """Return valid requests, each as the bytes on the wire."""
    predict = next(contender for contender in contenders() if contender.name == "ours, /predict").request
    binary = infer_binary()
    small = json.dumps({"image": [0] * 784}, separators=(",", ":")).encode()
    json_type = {"Content-Type": "application/json"}
    posts = [
        (predict.path, predict.body, json_type),
        (predict.path, small, json_type),
        (predict.path, gzip.compress(small), json_type | {"Content-Encoding": "gzip"}),
        (binary.path, infer_json(), json_type),
        (binary.path, binary.body, binary.headers),
        (binary.path, bytes(784), {"Inference-Header-Content-Length": "0"}),
    ]
    gets = [
        f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in ("/v2", "/v2/models/mnist/versions/1", "/docs")
    ]
    return [post(path, body, headers) for path, body, headers in posts] + gets


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return a request as bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def damage(chance: random.Random, request: bytes, others: list[bytes]) -> bytes:
    """Return a request with one to four things wrong."""
    for _ in range(chance.randint(1, 4)):
        # Half of the damage goes to the head, which is short beside the pixels.
        reach = len(request) if chance.random() < 1 / 2 else request.find(b"\r\n\r\n") + 4
        first, second = sorted(chance.randint(0, max(reach, 0)) for _ in range(2))
        kind = chance.randrange(6)
        if kind == 0:
            request = request[:first] + request[second:]
        elif kind == 1:
            request = request[:second] + request[first:]
        elif kind == 2:  # noqa: PLR2004 (the third kind)
            request = request[:first] + chance.choice(SPECIAL) + request[first:]
        elif kind == 3:  # noqa: PLR2004 (the fourth)
            request = request[:first] + chance.randbytes(chance.randint(1, 8)) + request[second:]
        elif kind == 4:  # noqa: PLR2004 (the fifth)
            request = request.replace(b"\r\n", b"\r\n" + chance.choice(HEADERS) + b"\r\n", 1)
        else:
            request = request[:first] + chance.choice(others)[first:]
    return request


def exchange(port: int, request: bytes) -> bytes:
    """Send a request, close our side, and return everything that arrives."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionError:
            pass
    return answer


def replies(answer: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the status, head and body of each reply in a stream.

    Raises:
        ValueError: it is not a stream of replies.

    """
    while answer:
        head, end, answer = answer.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head + end)
        if status is None or not end:
            raise ValueError(head)
        size = int(length[1]) if length is not None else 0
        body, answer = answer[:size], answer[size:]
        yield int(status[1]), head, body


def complaint(answer: bytes) -> str:
    """Return what is wrong with the replies to a request, or an empty text."""
    try:
        for status, head, body in replies(answer):
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.SERVICE_UNAVAILABLE:
                return f"a {status}"
            if status >= HTTPStatus.BAD_REQUEST:
                if b"\r\nContent-Type: application/json\r\n" not in head + b"\r\n":
                    return f"a {status} that is not JSON"
                if list(json.loads(body)) != ["error"]:
                    return f"a {status} without an error"
    except ValueError as error:
        return f"not HTTP: {error}"
    return ""


def main() -> None:
    """Send the cases, count the statuses."""
    parser = argparse.ArgumentParser(description="Send damaged requests.")
    parser.add_argument("--cases", type=at_least_1, default=5000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)  # noqa: S311 (not a secret)
    requests = good_requests()
    ours = next(contender for contender in contenders() if contender.name == "ours, /predict")
    seen: Counter[str] = Counter()
    with running(ours, core=0) as (port, _, _):
        for number in range(arguments.cases):
            request = damage(chance, chance.choice(requests), requests)
            answer = exchange(port, request)
            if wrong := complaint(answer):
                sys.exit(f"case {number}: {wrong}\n{request[:2000]!r}\n{answer[:2000]!r}")
            seen[answer[9:12].decode() or "closed"] += 1
        if not exchange(port, requests[-1]).startswith(b"HTTP/1.1 200 "):
            sys.exit("the server does not answer a valid request afterwards")
    print(f"{arguments.cases:,} damaged requests, first replies: {dict(seen.most_common())}")


if __name__ == "__main__":
    main()
