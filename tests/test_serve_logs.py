"""What `mnist-serving serve` logs, and in which form."""

import json
import re
import signal

import pytest

from tests.http_server import ENVIRONMENT, PATIENCE, READY, eventually, running_server, start, statuses


@pytest.mark.parametrize("workers", ["1", "2"])
def test_everything_on_standard_error_is_json_if_asked(workers: str) -> None:
    program = (
        "import sys, warnings, logging, threading; from mnist_serving.cli import main;"
        "from mnist_serving.http import serve, logs; describe = logs.configure_logs\n"
        "def configure(**flags):\n"
        "    describe(**flags); warnings.warn('old'); logging.getLogger('PIL').warning('odd')\n"
        "    thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()\n"
        "serve.configure_logs = configure\n"
        f"main(['serve', '--port', '0', '--log-json', '--workers', '{workers}', '--model', '/nowhere'])"
    )
    process = start(command=["-c", program])
    _, said = process.communicate(timeout=PATIENCE)
    messages = [json.loads(line) for line in said.splitlines()]
    assert process.returncode == 1
    assert [message["level"] for message in messages] == ["warning", "warning", "critical", "info", "error"]
    assert "UserWarning: old" in messages[0]["message"]
    assert "ZeroDivisionError" in messages[2]["exception"]
    assert "/nowhere" in messages[4]["message"]


@pytest.mark.parametrize("flags", [["--port", "seven"], ["--unknown"], ["--workers"]])
@pytest.mark.parametrize("settings", [{}, {"MNIST_SERVING_LOG_JSON": "1"}])
def test_wrong_usage_is_json_too_if_asked(flags: list[str], settings: dict[str, str]) -> None:
    process = start(*flags, *([] if settings else ["--log-json"]), environment=ENVIRONMENT | settings)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    message = json.loads(said)
    assert message["level"] == "error"
    assert flags[0] in message["message"]


def test_start_up_logs_the_address_the_model_and_its_checksum() -> None:
    with running_server() as server:
        said = "".join(server.log)
    assert f"listening on http://127.0.0.1:{server.port}" in said
    assert re.search(r"model \S+model\.onnx, sha256 [0-9a-f]{64}", said)
    assert "other machines" not in said


def test_being_open_to_other_machines_is_logged() -> None:
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
    assert line["client"] == "127.0.0.1"
    assert (line["method"], line["path"], line["status"], line["request"]) == ("GET", "/v2/nope", 404, "mine")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_by_default_a_request_is_not_logged_but_the_end_and_its_reason_are(number: signal.Signals) -> None:
    inherited = signal.signal(number, signal.SIG_DFL)  # nohup's setting would reach the server
    with running_server() as server:
        signal.signal(number, inherited)
        server.call("GET", "/v2")
        assert server.stop(number) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read().splitlines() == [
            f"mnist-serving: {number.name} arrived; finishing the requests in flight",
            "mnist-serving: ended, with 0 connections dropped",
        ]


def test_what_names_no_path_is_counted_and_logged_as_such() -> None:
    with running_server("--max-connections", "1", "--access-log") as server:
        assert server.process.stderr is not None
        for unreadable in (b"\x16\x03\x01\x02\x00\x01\x00", b"GE\x00"):
            assert statuses(server.send(unreadable)) == [400]
            assert re.search(r" - '-' 400 ", server.process.stderr.readline())
        eventually(lambda: server.call("GET", "/v2").status == 200, "the connections to be closed")
        with server.connect() as first:
            first.sendall(READY)
            assert statuses(first.recv(65_536)) == [200]
            assert statuses(server.send(b"")) == [503]
            assert any(" - '-' 503 " in line for line in server.process.stderr)
        eventually(lambda: server.call("GET", "/v2").status == 200, "the connections to be closed")
        counted = server.call("GET", "/metrics").body.decode()
    assert 'mnist_requests_total{route="other",status="400"} 2.0' in counted
    assert 'mnist_requests_total{route="other",status="503"}' in counted
    assert 'route="/"' not in counted
    assert 'route=""' not in counted
