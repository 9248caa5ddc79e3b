"""The command `mnist-serving serve`: what it logs, and how it reports errors."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.http_server import PATIENCE, Server, running_server, start


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server
        assert server.call("GET", "/v2/health/ready").status == 200
        assert server.stop() == 0


def complaint(*flags: str) -> tuple[int, str]:
    """Start a server that cannot start; return its exit code and its messages, without the log."""
    process = start(*flags)
    _, said = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in said
    return process.returncode, "".join(line for line in said.splitlines(keepends=True) if "listening" not in line)


def test_a_port_that_is_taken_is_one_line(server: Server) -> None:
    code, said = complaint("--port", str(server.port))
    assert code == 1
    assert re.fullmatch(r"mnist-serving: error: port \d+ of 127.0.0.1 is taken; choose another with --port\n", said)


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_host_that_is_not_valid_is_one_line(host: str) -> None:
    code, said = complaint("--host", host)
    assert code == 1
    assert re.fullmatch(rf"mnist-serving: error: .*{host}.*\n", said)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("model", ["/nowhere/model.onnx", __file__])
def test_a_model_that_is_missing_or_not_one_is_one_line(model: str, workers: str) -> None:
    code, said = complaint("--model", model, "--workers", workers)
    assert code == 1
    assert re.fullmatch(r"mnist-serving: error: .*\n", said)


@pytest.mark.parametrize("flags", [["--unknown"], ["--port", "70000"], ["--workers", "0"], ["--grace", "-1"]])
def test_wrong_usage_is_exit_code_2(flags: list[str]) -> None:
    code, said = complaint(*flags)
    assert code == 2
    assert said.splitlines()[-1].startswith("mnist-serving")


def test_start_up_logs_the_address_the_model_and_its_checksum(server: Server) -> None:
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
    assert (line["method"], line["path"], line["status"], line["request"]) == ("GET", "/v2/nope", 404, "mine")


def test_by_default_a_request_is_not_logged() -> None:
    with running_server() as server:
        server.call("GET", "/v2")
        assert server.stop() == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""
