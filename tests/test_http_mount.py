"""The application in other people's ASGI servers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.http_server import LAST, PATIENCE, ROOT, Server, eventually, read_all, statuses

BODY = json.dumps({"image": [0] * 784}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
MODULE = '''
from mnist_serving.http import Limits, create_app

digits = create_app(limits=Limits(body=100_000, request_seconds=2, in_flight=2))


async def app(scope, receive, send):
    """The application at /, and once more under /my digits and below /p, as frameworks mount it."""
    root = "/my digits" if scope.get("path", "").startswith("/my digits") else "/p"
    await digits({**scope, "root_path": root}, receive, send)
'''
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", "mounted:app", "--port", "0"],
    "uvicorn --http h11": ["-m", "uvicorn", "mounted:app", "--port", "0", "--http", "h11"],
    "hypercorn": ["-m", "hypercorn", "mounted:app", "--bind", "127.0.0.1:0", "--workers", "0"],  # no child process
}


@contextmanager
def mounted(name: str, folder: Path) -> Iterator[Server]:
    """Run the application in a server until it says where it listens."""
    (folder / "mounted.py").write_text(MODULE)
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'serving'}:{folder}", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, *COMMANDS[name]]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        port = next(found[1] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line)))
        yield Server(int(port), process, [])
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


@pytest.fixture(scope="module", params=["uvicorn", "hypercorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with mounted(request.param, tmp_path_factory.mktemp(request.param)) as server:
        yield server


def test_the_mounted_application_answers(server: Server) -> None:
    assert server.call("GET", "/v2/health/ready").json() == {"live": True, "ready": True}
    (prediction,) = server.call("POST", "/predict", BODY).json()["predictions"]
    assert len(prediction["probabilities"]) == 10
    assert b'mnist_requests_total{route="/predict",status="200"}' in server.call("GET", "/metrics").body
    assert server.call("HEAD", "/v2").body == b""


def test_it_answers_under_the_path_that_it_is_mounted_at_and_reads_the_query(server: Server) -> None:
    assert {name.lower() for name in server.call("GET", "/my%20digits/").headers} >= {"content-security-policy"}
    redirect = {name.lower(): value for name, value in server.call("GET", "/my%20digits").headers.items()}
    assert redirect["location"] == "/my%20digits/"
    (prediction,) = server.call("POST", "/my%20digits/predict?seen=true", BODY).json()["predictions"]
    assert prediction["seen"] == [0] * 784


def test_binary_tensors_work(server: Server) -> None:
    reply = server.call("POST", "/v2/models/mnist/infer", bytes(784), Inference_Header_Content_Length="0")
    assert reply.status == 200
    length = int({name.lower(): value for name, value in reply.headers.items()}["inference-header-content-length"])
    assert len(reply.body) == length + 84


def test_a_picture_file_is_read(server: Server) -> None:
    reply = server.call("POST", "/predict", b"not a picture", Content_Type="image/png")
    assert reply.status == 400
    assert "PNG" in reply.json()["error"]


def test_errors_have_their_form(server: Server) -> None:
    for method, path, status in (("GET", "/nope", 404), ("PUT", "/predict", 405), ("POST", "/predict", 400)):
        reply = server.call(method, path)
        assert reply.status == status
        assert list(reply.json()) == ["error"]


def test_a_body_past_the_limit_is_a_413(server: Server) -> None:
    assert server.call("POST", "/predict", bytes(100_001)).status == 413
    chunks = b"8000\r\n" + bytes(0x8000) + b"\r\n"
    assert statuses(server.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 4))[0] == 413


def test_a_body_that_stops_coming_is_a_408(server: Server) -> None:
    assert statuses(server.send(HEAD + b"Content-Length: 100\r\n\r\nab"))[0] == 408


def test_requests_past_those_in_flight_are_a_503(server: Server) -> None:
    waiting = [server.connect() for _ in range(2)]
    for connection in waiting:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nab")
    eventually(lambda: b"in_flight 2.0" in server.call("GET", "/metrics").body, "two requests in flight")
    assert server.call("POST", "/predict", BODY).status == 503
    for connection in waiting:
        assert statuses(read_all(connection))[0] == 408
        connection.close()
    assert server.call("POST", "/predict", BODY).status == 200


@pytest.mark.parametrize("name", ["uvicorn --http h11", "hypercorn"])  # uvicorn's httptools drops the body
def test_an_offer_to_upgrade_is_ignored_where_the_server_keeps_the_body(name: str, tmp_path: Path) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with mounted(name, tmp_path) as server:
        raw = server.send(HEAD + offer + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + LAST)
    assert statuses(raw) == [200, 200]


def test_where_the_server_drops_the_body_of_such_an_offer_the_error_says_what_to_do(tmp_path: Path) -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    whole = b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    with mounted("uvicorn", tmp_path) as server:
        for body in (whole, chunked):
            assert b"use uvicorn --http h11" in server.send(HEAD + offer + body)
