"""Who asks: pages of other sites, and clients behind a proxy."""

import pytest
from mnist_serving.http.clients import Clients
from mnist_serving.http.transport import HttpError, Request, Response

from tests.http_service import ask, make_service

ORIGIN = {b"origin": b"https://a.example"}
ASKS = ORIGIN | {b"access-control-request-method": b"POST", b"access-control-request-headers": b"content-type"}


@pytest.mark.parametrize("origins", [("https://a.example", "https://b.example"), ("*",)])
def test_a_page_of_an_allowed_origin_may_ask_and_read_replies_and_errors(origins: tuple[str, ...]) -> None:
    service = make_service(origins=origins)
    allowed = "*" if origins == ("*",) else "https://a.example"
    preflight = ask(service, "/predict", headers=ASKS, method="OPTIONS")
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type"
    packed = ORIGIN | {b"accept-encoding": b"gzip"}
    replies = [ask(service, path, headers=packed) for path in ("/v2", "/openapi.json", "/nowhere", "/predict")]
    assert [reply.status for reply in replies] == [200, 200, 404, 405]
    for reply in (preflight, *replies):
        assert reply.headers["Access-Control-Allow-Origin"] == allowed
        assert ("Origin" in reply.headers.get("Vary", "")) is (allowed != "*")
    assert "Accept-Encoding" in replies[1].headers["Vary"]


@pytest.mark.parametrize(("origin", "named"), [("*", "*"), ("https://a.example", "https://a.example")])
def test_a_page_may_also_read_the_error_of_a_request_whose_head_could_not_be_read(origin: str, named: str) -> None:
    service = make_service(origins=(origin,))
    unread = Request("", "", error=HttpError(503, "full"))
    reply = service.answer(unread)
    assert isinstance(reply, Response)
    assert reply.headers["Access-Control-Allow-Origin"] == named


def test_a_page_that_asks_for_a_path_that_is_not_here_reads_that() -> None:
    reply = ask(make_service(origins=("*",)), "/nowhere", headers=ASKS, method="OPTIONS")
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (404, "*")


def test_a_page_of_another_origin_is_told_nothing() -> None:
    for service in (make_service(), make_service(origins=("https://b.example",))):
        for reply in (ask(service, "/predict", headers=ASKS, method="OPTIONS"), ask(service, "/v2", headers=ORIGIN)):
            assert not [name for name in reply.headers if name.startswith("Access-Control")]
    assert ask(service, "/predict", headers=ASKS, method="OPTIONS").status == 405


# --- clients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "forwarded", "named"),
    [
        ("192.0.2.1", b"198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", b"198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", b"203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", b"198.51.100.7, evil\x1b[31m", "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("::1", b"2001:db8::7", "2001:db8::7"),
        ("", b"198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", b"198.51.100.7:5123", "198.51.100.7"),
        ("::1", b"[2001:db8::7]:443, ::ffff:10.0.0.2", "2001:db8::7"),
    ],
)
def test_only_a_trusted_proxy_may_name_the_client(client: str, forwarded: bytes, named: str) -> None:
    headers = {b"x-forwarded-for": forwarded} if forwarded else {}
    request = Request("GET", "/", headers, client=client)
    assert Clients(("10.0.0.0/8", "::1/128", "unix")).find(request) == named
    assert Clients(()).find(request) == (client.removeprefix("::ffff:") or "unix")
