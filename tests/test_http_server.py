"""The server as a process: what it does with sockets, floods and slow clients."""

import itertools
import json
import socket
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http_server import (
    BODY,
    CLOSE,
    HEAD,
    LAST,
    PATIENCE,
    PREDICT,
    READY,
    Server,
    eventually,
    read_all,
    running_server,
    statuses,
)


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


def test_a_chunked_body_with_trailers_is_accepted(server: Server) -> None:
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


def test_an_http_1_0_client_does_not_get_100_continue(server: Server) -> None:
    head = HEAD.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    assert statuses(server.send(head + BODY)) == [200]


OFFERS = [
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n",
    b"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Version: 13\r\n",
    b"Upgrade: TLS/1.0, anything\r\nConnection: Upgrade\r\n",
]
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_to_upgrade_is_ignored_and_the_connection_stays(server: Server, offer: bytes) -> None:
    offering = [request.replace(b"\r\n", b"\r\n" + offer, 1) for request in (PREDICT, CHUNKED, READY)]
    assert statuses(server.send(b"".join(offering) * 100 + READY + PREDICT + LAST)) == [200] * 303


def test_an_offer_to_upgrade_may_come_byte_by_byte(server: Server) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in LAST.replace(b"\r\n", b"\r\n" + OFFERS[0], 1):
            connection.sendall(bytes([byte]))
        assert statuses(read_all(connection)) == [200]


def test_a_client_that_offers_to_upgrade_and_waits_for_100_continue_gets_it(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + OFFERS[0] + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY + LAST)
        assert statuses(read_all(connection)) == [200, 200]


@pytest.mark.parametrize(
    "length", [b"Content-Length: 1099511627776", b"Content-Length: 3\r\nTransfer-Encoding: chunked"]
)
def test_an_offer_to_upgrade_hides_nothing_that_is_refused(server: Server, length: bytes) -> None:
    assert statuses(server.send(HEAD + OFFERS[0] + length + b"\r\n\r\n")) in ([413], [400])


def test_a_tunnel_is_refused(server: Server) -> None:
    assert statuses(server.send(b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03")) == [404]


def test_a_full_url_and_a_query_are_understood(server: Server) -> None:
    assert statuses(server.send(b"GET http://x/v2?a=/b HTTP/1.1\r\nHost: x\r\n" + CLOSE)) == [200]


def test_a_half_closed_connection_still_gets_its_reply(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(PREDICT)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(read_all(connection)) == [200]


def test_a_valid_request_id_is_returned(server: Server) -> None:
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
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_is_not_http_1_1_is_a_400(server: Server, raw: bytes) -> None:
    reply = server.send(raw)
    assert statuses(reply) == [400]
    assert last_error(reply)


# --- limits ------------------------------------------------------------------------------------------


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


def test_sending_byte_by_byte_does_not_extend_the_deadline(server: Server) -> None:
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


def test_a_client_that_reads_no_replies_is_dropped(server: Server) -> None:
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
