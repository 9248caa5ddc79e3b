"""The server as a process: what it does with sockets, floods, slow clients and signals."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http_server import ENVIRONMENT, PATIENCE, Server, eventually, read_all, running_server, start, statuses

BODY = json.dumps({"image": [0] * 784}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
PREDICT = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
READY = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSE = b"Connection: close\r\n\r\n"
LAST = READY[:-2] + CLOSE


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server("--request-timeout", "1") as server:
        yield server
        assert server.call("GET", "/v2/health/ready").status == 200
        assert server.stop() == 0


def last_error(raw: bytes) -> str:
    """Return the message of the last reply of a stream."""
    head, _, body = raw.rpartition(b"\r\n\r\n")
    assert b"Content-Type: application/json\r\n" in head
    return str(json.loads(body)["error"])


# --- HTTP ------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_their_order(server: Server) -> None:
    raw = server.send(PREDICT + READY + b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n" + PREDICT * 100 + LAST)
    assert statuses(raw) == [200, 200, 404, *[200] * 100, 200]


def test_thousands_of_pipelined_requests_come_back(server: Server) -> None:
    assert statuses(server.send(READY * 6000 + LAST)) == [200] * 6001


def test_a_request_may_come_byte_by_byte(server: Server) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST:
            connection.sendall(bytes([byte]))
        assert statuses(read_all(connection)) == [200]


def test_http_1_0_is_answered_and_closed(server: Server) -> None:
    assert statuses(server.send(b"GET /v2 HTTP/1.0\r\n\r\n")) == [200]


def test_head_has_the_length_but_no_body(server: Server) -> None:
    raw = server.send(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n" + CLOSE)
    assert raw.endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" not in raw


def test_a_chunked_body_with_trailers_is_taken(server: Server) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:100], BODY[100:]))
    head = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert statuses(server.send(head + chunks + b"0\r\nX-Sum: 1\r\n\r\n")) == [200]


def test_a_client_that_waits_for_100_continue_gets_it(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(
            HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert statuses(read_all(connection)) == [200]


def test_a_client_of_http_1_0_does_not(server: Server) -> None:
    head = HEAD.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    assert statuses(server.send(head + BODY)) == [200]


def test_an_upgrade_is_declined_by_an_answer(server: Server) -> None:
    raw = server.send(b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + READY)
    assert statuses(raw) == [200]


def test_a_whole_url_and_a_query_are_understood(server: Server) -> None:
    assert statuses(server.send(b"GET http://x/v2?a=/b HTTP/1.1\r\nHost: x\r\n" + CLOSE)) == [200]


def test_a_half_closed_connection_still_gets_its_reply(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(PREDICT)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(read_all(connection)) == [200]


def test_a_request_id_comes_back_if_it_is_sound(server: Server) -> None:
    assert server.call("GET", "/v2", X_Request_Id="abc").headers["X-Request-Id"] == "abc"
    made = [server.call("GET", "/v2", X_Request_Id="a b").headers["X-Request-Id"] for _ in range(2)]
    assert "a b" not in made
    assert made[0] != made[1]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\nabc",
    ],
)
def test_what_is_not_http_1_1_is_a_400(server: Server, raw: bytes) -> None:
    reply = server.send(raw)
    assert statuses(reply) == [400]
    assert last_error(reply)


# --- bounds ------------------------------------------------------------------------------------------


def test_a_declared_body_past_the_limit_is_refused_before_it_comes(server: Server) -> None:
    reply = server.send(HEAD + b"Content-Length: %d\r\n\r\n" % (1 << 40))
    assert statuses(reply) == [413]
    assert "1,048,576" in last_error(reply)


def test_a_streamed_body_is_refused_as_soon_as_it_passes_the_limit(server: Server) -> None:
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    reply = server.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 40)
    assert statuses(reply) == [413]


def test_a_body_in_too_many_chunks_is_refused(server: Server) -> None:
    reply = server.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n0\r\n" * 70_000)
    assert statuses(reply) == [413]
    assert "65,536" in last_error(reply)


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000,
        b"GET / HTTP/1.1\r\nA: " + b"a" * 500_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 5000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"a" * 500_000,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 500_000,
    ],
)
def test_a_head_past_the_limit_is_a_431(server: Server, raw: bytes) -> None:
    assert statuses(server.send(raw)) == [431]


@pytest.mark.parametrize("sent", [b"GET /v2 HTT", HEAD + b"Content-Length: 100\r\n\r\nab"])
def test_a_request_that_stops_coming_is_a_408(server: Server, sent: bytes) -> None:
    reply = server.send(sent)
    assert statuses(reply) == [408]
    assert "within 1 s" in last_error(reply)


def test_a_connection_that_says_nothing_is_closed(server: Server) -> None:
    assert server.send(b"") == b""


def test_one_byte_after_the_other_does_not_win_time(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        began = time.monotonic()
        connection.settimeout(0.2)
        raw = b""
        while time.monotonic() < began + PATIENCE and not raw:
            connection.sendall(b"0")
            try:
                raw = connection.recv(65_536)
            except TimeoutError:
                continue
        assert statuses(raw) == [408]
        assert time.monotonic() - began < 10


def test_a_client_that_takes_no_replies_is_dropped(server: Server) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE)
        flood = itertools.repeat(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        with pytest.raises(ConnectionError):
            deque(map(connection.sendall, flood), maxlen=0)


def test_clients_that_vanish_leave_nothing_behind(server: Server) -> None:
    files = Path(f"/proc/{server.process.pid}/fd")
    before = len(list(files.iterdir()))
    for sent in (b"", HEAD, PREDICT, PREDICT[:-1], READY * 50):
        for _ in range(20):
            with server.connect() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
                connection.sendall(sent)
    eventually(lambda: len(list(files.iterdir())) <= before, "file descriptors to be closed")
    assert b"mnist_requests_in_flight 0.0" in server.call("GET", "/metrics").body


def test_requests_past_those_in_flight_are_a_503_at_once() -> None:
    with running_server("--max-in-flight", "2") as server:
        waiting = [server.connect() for _ in range(2)]
        for connection in waiting:
            connection.sendall(PREDICT[:-1])
        eventually(lambda: b"in_flight 2.0" in server.call("GET", "/metrics").body, "two requests in flight")
        refused = server.call("POST", "/predict", BODY)
        assert refused.status == 503
        assert refused.headers["Retry-After"] == "1"
        assert server.call("GET", "/v2/health/ready").status == 200
        assert statuses(server.send(b"PUT /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")) == [503]
        for connection in waiting:
            connection.sendall(PREDICT[-1:])
            assert statuses(connection.recv(65_536)) == [200]
            connection.close()
        assert server.call("POST", "/predict", BODY).status == 200


def test_connections_past_the_limit_are_a_503() -> None:
    with running_server("--max-connections", "1") as server, server.connect() as first:
        first.sendall(READY)
        assert statuses(first.recv(65_536)) == [200]
        assert statuses(server.send(b"")) == [503]


def test_an_idle_connection_is_closed_in_time() -> None:
    with running_server("--idle-timeout", "0.1") as server:
        assert statuses(server.send(READY)) == [200]


# --- the end -----------------------------------------------------------------------------------------


def test_sigterm_finishes_what_is_in_flight_and_exits_0() -> None:
    with running_server("--linger", "60", "--grace", "60") as server, server.connect() as connection:
        connection.sendall(PREDICT[:-1])
        eventually(lambda: b"in_flight 1.0" in server.call("GET", "/metrics").body, "a request in flight")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server.call("GET", "/v2/health/ready").status == 503, "readiness to end")
        assert server.call("GET", "/v2/health/live").status == 200
        connection.sendall(PREDICT[-1:])
        raw = read_all(connection)
        assert statuses(raw) == [200]
        assert b"Connection: close" in raw


def test_nothing_outlives_the_grace_time() -> None:
    with running_server("--grace", "0.2") as server, server.connect() as connection:
        connection.sendall(PREDICT[:-1])
        assert server.stop() == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with running_server("--grace", "600", "--linger", "600") as server:
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server.call("GET", "/v2/health/ready").status == 503, "the first signal to be seen")
        assert server.stop(signal.SIGINT) == 128 + signal.SIGINT


def test_under_load_sigterm_loses_no_request() -> None:
    lost: list[str] = []
    answered = [0] * 16

    def hammer(place: int, server: Server) -> None:
        """Send requests until the server says that it closes; every one must be answered."""
        with server.connect() as connection:
            raw = b""
            while b"Connection: close" not in raw:
                connection.sendall(PREDICT)
                raw = connection.recv(65_536)
                if not raw.startswith(b"HTTP/1.1 200 "):
                    lost.append(repr(raw[:50]))
                    return
                answered[place] += 1

    with running_server("--linger", "0.5") as server:
        threads = [threading.Thread(target=hammer, args=(place, server)) for place in range(16)]
        for thread in threads:
            thread.start()
        eventually(lambda: min(answered) > 20, "load on every connection")
        assert server.stop() == 0
        for thread in threads:
            thread.join(PATIENCE)
    assert lost == []


# --- the command line ----------------------------------------------------------------------------------


def complaint(*flags: str) -> tuple[int, str]:
    """Start a server that cannot start; return its exit code and what it said, less the lines of the log."""
    process = start(*flags)
    _, said = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in said
    return process.returncode, "".join(line for line in said.splitlines(keepends=True) if "listening" not in line)


def test_a_port_that_is_taken_is_one_line(server: Server) -> None:
    code, said = complaint("--port", str(server.port))
    assert code == 1
    assert re.fullmatch(r"mnist-serving: error: port \d+ of 127.0.0.1 is taken; choose another with --port\n", said)


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_host_that_is_none_is_one_line(host: str) -> None:
    code, said = complaint("--host", host)
    assert code == 1
    assert re.fullmatch(rf"mnist-serving: error: .*{host}.*\n", said)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("model", ["/nowhere/model.onnx", __file__])
def test_a_model_that_is_missing_or_foreign_is_one_line(model: str, workers: str) -> None:
    code, said = complaint("--model", model, "--workers", workers)
    assert code == 1
    assert re.fullmatch(r"mnist-serving: error: .*\n", said)


@pytest.mark.parametrize("flags", [["--unknown"], ["--port", "70000"], ["--workers", "0"], ["--grace", "-1"]])
def test_wrong_usage_is_exit_code_2(flags: list[str]) -> None:
    code, said = complaint(*flags)
    assert code == 2
    assert said.splitlines()[-1].startswith("mnist-serving")


def test_start_up_says_where_which_model_and_which_checksum(server: Server) -> None:
    said = "".join(server.log)
    assert f"listening on http://127.0.0.1:{server.port}" in said
    assert re.search(r"model \S+model\.onnx, sha256 [0-9a-f]{64}", said)
    assert "other machines" not in said


def test_listening_to_other_machines_is_said() -> None:
    with running_server("--host", "127.0.0.1") as server:
        assert "other machines" not in "".join(server.log)
    process = start("--host", "0.0.0.0")  # noqa: S104 (to see the warning)
    try:
        assert process.stderr is not None
        with process.stderr as said:
            assert any("other machines" in line for line, _ in zip(said, range(2), strict=False))
    finally:
        process.kill()
        process.wait(PATIENCE)


def test_the_access_log_is_a_json_line_a_request_when_asked() -> None:
    with running_server("--access-log", "--log-json") as server:
        server.call("GET", "/v2/nope", X_Request_Id="mine")
        assert server.process.stderr is not None
        line = json.loads(server.process.stderr.readline())
        assert all(json.loads(start_up)["level"] == "info" for start_up in server.log)
    assert (line["method"], line["path"], line["status"], line["request"]) == ("GET", "/v2/nope", 404, "mine")


def test_without_being_asked_a_request_leaves_no_line() -> None:
    with running_server() as server:
        server.call("GET", "/v2")
        assert server.stop() == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


# --- several workers -------------------------------------------------------------------------------------


def test_the_metrics_of_several_workers_add_up_and_a_dead_worker_is_replaced() -> None:
    with running_server("--workers", "2") as server:
        for _ in range(40):
            assert server.call("POST", "/predict", BODY).status == 200
        said = server.call("GET", "/metrics").body.decode()
        assert 'mnist_requests_total{call="/predict",status="200"} 40.0' in said
        assert "mnist_images_total 40.0" in said
        (first, *_) = children(server.process.pid)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(set(children(server.process.pid)) - {first}) == 2, "a new worker")
        eventually(lambda: server.call("GET", "/v2/health/ready").status == 200, "the new worker to be ready")
        assert 'status="200"} 40.0' in server.call("GET", "/metrics").body.decode()
        assert server.stop() == 0


def test_sigterm_lets_workers_finish() -> None:
    with running_server("--workers", "2", "--grace", "60") as server:
        eventually(lambda: len(children(server.process.pid)) == 2, "two workers")
        with server.connect() as connection:
            connection.sendall(PREDICT[:-1])
            eventually(lambda: b"in_flight 1.0" in server.call("GET", "/metrics").body, "a request in flight")
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: refused(server), "the server to take no more")
            connection.sendall(PREDICT[-1:])
            assert statuses(read_all(connection)) == [200]
        assert server.process.wait(PATIENCE) == 0


def test_a_worker_that_is_killed_while_it_finishes_is_exit_code_1() -> None:
    with running_server("--workers", "2", "--grace", "600") as server, server.connect() as connection:
        connection.sendall(PREDICT[:-1])
        eventually(lambda: b"in_flight 1.0" in server.call("GET", "/metrics").body, "a request in flight")
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: refused(server), "the server to take no more")
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)
        assert server.process.wait(PATIENCE) == 1


def test_workers_end_when_the_process_that_started_them_is_killed() -> None:
    with running_server("--workers", "2") as server:
        eventually(lambda: len(children(server.process.pid)) == 2, "two workers")
        server.process.kill()
        eventually(lambda: refused(server), "the workers to end")


def test_a_worker_that_dies_before_it_is_ready_ends_the_server() -> None:
    program = (
        "import os, socket, sys; from mnist_serving.http.workers import run_workers;"
        "listener = socket.create_server(('127.0.0.1', 0));"
        "sys.exit(run_workers(lambda ready: os.abort(), listener, count=2))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert re.fullmatch(r"worker \d+ died with code -6 before it was ready\n", done.stderr)


def refused(server: Server) -> bool:
    """Return whether new connections are refused."""
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


def children(pid: int) -> list[int]:
    """Return the living children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
