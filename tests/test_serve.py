"""The command `mnist-serving serve`: where it listens, its settings, and how it reports errors."""

import os
import re
import resource
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image

from tests.http_server import (
    BODY,
    CLOSE,
    ENVIRONMENT,
    PATIENCE,
    PREDICT,
    READY,
    Server,
    read_all,
    running_server,
    start,
    statuses,
)


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
@pytest.mark.parametrize("model", ["/nowhere/model.onnx", "two\nlines.onnx", __file__])
def test_a_model_that_is_missing_or_not_one_is_one_line(model: str, workers: str) -> None:
    code, said = complaint("--model", model, "--workers", workers)
    assert code == 1
    assert re.fullmatch(r"mnist-serving: error: .*\n", said)


TOO_MANY = ["--max-pixels", str(2 * (Image.MAX_IMAGE_PIXELS or 0) + 1)]  # Pillow refuses so large a picture


@pytest.mark.parametrize("flags", [["--unknown"], ["--port", "70000"], ["--workers", "0"], ["--grace", "-1"], TOO_MANY])
def test_wrong_usage_is_one_line_and_exit_code_2(flags: list[str]) -> None:
    code, said = complaint(*flags)
    assert code == 2
    assert re.fullmatch(r"mnist-serving.*: error: .*\n", said)


def test_localhost_is_both_families() -> None:
    if not has_ipv6():
        pytest.skip("did not run: this machine has no IPv6")
    with running_server("--host", "localhost") as server:
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, server.port), PATIENCE) as connection:
                connection.sendall(READY)
                assert statuses(connection.recv(65_536)) == [200]
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        code, said = complaint("--host", "localhost", "--port", str(taken.getsockname()[1]))
        assert (code, "is taken" in said) == (1, True)


def test_the_address_of_every_ipv6_interface_takes_ipv4_too() -> None:
    if not has_ipv6():
        pytest.skip("did not run: this machine has no IPv6")
    process = start("--host", "::")
    try:
        assert process.stderr is not None
        with process.stderr as said:
            port = next(int(found[1]) for line in said if (found := re.search(r"http://\[::\]:(\d+)", line)))
            for address in ("127.0.0.1", "::1"):
                socket.create_connection((address, port), PATIENCE).close()
    finally:
        process.kill()
        process.wait(PATIENCE)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_unix_socket_serves_and_is_removed_at_the_end(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "digits.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    process = start("--uds", str(path), "--workers", workers)
    assert process.stderr is not None
    try:
        assert any("ready" in line for line in process.stderr)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(PREDICT)
            assert statuses(connection.recv(65_536)) == [200]
        assert complaint("--uds", str(path)) == (
            1,
            f"mnist-serving: error: cannot listen on {path}: it is taken; choose another path with --uds\n",
        )
        assert stat.S_IMODE(path.stat().st_mode) == 0o666  # other users' proxies may connect, as they may to a port
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not path.exists()
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stderr.close()


@pytest.mark.parametrize("name", ["proxy.sock", "\0proxy"])  # the second has no file
def test_the_client_of_a_unix_socket_may_have_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    process = start("--uds", "digits.sock", "--access-log", "--trusted-proxy", "unix", "--trusted-proxy", "10.0.0.1")
    assert process.stderr is not None
    try:
        assert any("ready" in line for line in process.stderr)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.bind(f"{name}{os.getpid()}")
            connection.connect("digits.sock")
            connection.sendall(READY[:-2] + b"X-Forwarded-For: 192.0.2.7\r\n" + CLOSE)
            assert statuses(read_all(connection)) == [200]
        assert "192.0.2.7 GET " in process.stderr.readline()
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stderr.close()


def test_a_file_that_another_program_has_put_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "digits.sock"
    process = start("--uds", str(path))
    assert process.stderr is not None
    with process.stderr as said:
        assert any("ready" in line for line in said)
        path.unlink()
        path.write_text("another program's")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert path.read_text() == "another program's"


@pytest.mark.parametrize("path", ["/nowhere/x.sock", "/nowhere/two\nlines", "/tmp/" + "a" * 200, __file__])  # noqa: S108 (too long)
def test_a_unix_socket_that_cannot_be_made_is_one_line(path: str) -> None:
    code, said = complaint("--uds", path)
    assert code == 1
    assert re.fullmatch(r"mnist-serving: error: cannot listen on .*; choose another path with --uds\n", said)


def test_connections_beyond_the_files_that_a_process_may_open_get_a_503() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64));"
        "from mnist_serving.cli import main; main(['serve', '--port', '0', '--linger', '0', '--request-timeout', '60'])"
    )
    assert min(soft, hard) > 200
    with running_server(command=["-c", program]) as server, ExitStack() as stack:
        assert "at most 24 connections, not 512" in "".join(server.log)
        held = [stack.enter_context(server.connect()) for _ in range(24)]
        for connection in held:
            connection.sendall(READY)
            assert statuses(connection.recv(65_536)) == [200]
        beyond = [stack.enter_context(server.connect()) for _ in range(100)]
        assert [statuses(read_all(connection)) for connection in beyond] == [[503]] * 100
        held[0].sendall(READY)
        assert statuses(held[0].recv(65_536)) == [200]


def test_every_flag_is_an_environment_variable_too() -> None:
    settings = {"MNIST_SERVING_MAX_BODY": "100", "MNIST_SERVING_ACCESS_LOG": "yes", "MNIST_SERVING_LOG_JSON": "0"}
    kubernetes = {"MNIST_SERVING_PORT": "tcp://10.0.0.1:80"}  # what it sets for a Service of this name
    with running_server(environment=ENVIRONMENT | settings | kubernetes) as server:
        assert server.call("POST", "/predict", bytes(101)).status == 413
        assert server.process.stderr is not None
        assert " 413 " in server.process.stderr.readline()
    with running_server("--max-body", "200", environment=ENVIRONMENT | settings) as server:
        assert server.call("POST", "/predict", bytes(101)).status == 400


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "70000"), ("ACCESS_LOG", "perhaps"), ("GRACE", "-1"), ("ROOT_PATH", "digits")]
)
def test_a_wrong_value_of_an_environment_variable_is_exit_code_2_and_names_it(name: str, value: str) -> None:
    process = start(environment=ENVIRONMENT | {f"MNIST_SERVING_{name}": value}, port=())
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert f"{value!r} (in MNIST_SERVING_{name})" in said
    assert len(said.splitlines()) == 1


def test_a_host_in_the_environment_that_does_not_exist_is_named_with_its_variable() -> None:
    process = start(environment=ENVIRONMENT | {"MNIST_SERVING_HOST": "no host"})
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "'no host' (in MNIST_SERVING_HOST)" in said


def test_below_a_root_path_the_page_is_found_with_and_without_its_slash() -> None:
    with running_server("--root-path", "/my digits/") as server:
        assert server.call("GET", "/my%20digits").headers["Location"] == "/my%20digits/"
        assert b"<canvas" in server.call("GET", "/my%20digits/").body
        assert server.call("POST", "/my%20digits/predict", BODY).status == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_folder_of_another_programs_metrics_is_left_alone(tmp_path: Path, workers: str) -> None:
    (tmp_path / "counter_1.db").write_bytes(b"of a former run")
    for folder in (tmp_path, tmp_path / "missing"):
        others = {"PROMETHEUS_MULTIPROC_DIR": str(folder), "prometheus_multiproc_dir": str(folder)}
        with running_server("--workers", workers, environment=ENVIRONMENT | others) as server:
            assert server.call("POST", "/predict", b"").status == 400
            assert b'status="400"} 1.0' in server.call("GET", "/metrics").body
    assert [path.name for path in tmp_path.iterdir()] == ["counter_1.db"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_under_nohup_it_outlives_its_terminal(workers: str) -> None:
    program = (
        "import signal; from mnist_serving.cli import main; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        f"main(['serve', '--port', '0', '--linger', '0', '--workers', '{workers}'])"
    )
    with running_server(command=["-c", program]) as server:
        server.process.send_signal(signal.SIGHUP)
        assert server.call("GET", "/v2/health/ready").status == 200
        assert server.stop() == 0
