"""The shutdown of a server of one process or several: requests in flight are finished, and nothing stays behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mnist_serving.classifier import PACKAGED_MODEL

from tests.http_server import (
    BODY,
    ENVIRONMENT,
    PATIENCE,
    PREDICT,
    Server,
    eventually,
    read_all,
    running_server,
    statuses,
)


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


def resident(pid: int) -> int:
    """Return the bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def logged(server: Server, what: str) -> str:
    """Return the next line of the log that has these words."""
    assert server.process.stderr is not None
    return next(line for line in server.process.stderr if what in line)


# --- the shutdown -----------------------------------------------------------------------------------------


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


def test_nothing_outlives_the_grace_period() -> None:
    with running_server("--grace", "0.2") as server, server.connect() as connection:
        connection.sendall(PREDICT[:-1])
        assert server.stop() == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with running_server("--grace", "600", "--linger", "600") as server:
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server.call("GET", "/v2/health/ready").status == 503, "the first signal to be seen")
        assert server.stop(signal.SIGINT) == 128 + signal.SIGINT
        assert "SIGINT arrived, the second signal; ending at once" in logged(server, "SIGINT")


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


# --- several workers -------------------------------------------------------------------------------------


def test_the_metrics_of_several_workers_add_up_and_a_dead_worker_is_replaced() -> None:
    with running_server("--workers", "2") as server:
        logged(server, "ready")  # the second is
        for _ in range(40):
            assert server.call("POST", "/predict", BODY).status == 200
        said = server.call("GET", "/metrics").body.decode()
        assert 'mnist_requests_total{route="/predict",status="200"} 40.0' in said
        assert "mnist_images_total 40.0" in said
        memory = sum(resident(pid) for pid in (server.process.pid, *children(server.process.pid)))
        found = re.search(r"^process_resident_memory_bytes (\S+)", said, re.MULTILINE)
        assert found is not None
        assert float(found[1]) == pytest.approx(memory, rel=0.2)
        assert "process_cpu_seconds_total" in said
        (first, *_) = children(server.process.pid)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(set(children(server.process.pid)) - {first}) == 2, "a new worker")
        eventually(lambda: server.call("GET", "/v2/health/ready").status == 200, "the new worker to be ready")
        assert 'status="200"} 40.0' in server.call("GET", "/metrics").body.decode()
        assert server.stop() == 0


def test_a_replacement_that_cannot_start_is_tried_again_while_the_others_serve(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    shutil.copy(PACKAGED_MODEL, model)
    with running_server("--workers", "2", "--model", str(model)) as server:
        logged(server, "ready")  # the second is
        (first, second) = children(server.process.pid)
        model.rename(tmp_path / "away.onnx")
        os.kill(first, signal.SIGKILL)
        assert "died with code -9; starting another" in logged(server, "died")
        assert "No such file" in logged(server, "error")
        assert "next try is in 0.5 s" in logged(server, "could not start")
        assert "next try is in 1 s" in logged(server, "could not start")
        assert server.call("POST", "/predict", BODY).status == 200
        (tmp_path / "away.onnx").rename(model)
        eventually(lambda: len(children(server.process.pid)) == 2, "a second worker")
        assert second in children(server.process.pid)
        assert server.stop() == 0


def test_without_any_worker_left_a_failing_replacement_ends_the_server(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    shutil.copy(PACKAGED_MODEL, model)
    with running_server("--workers", "2", "--model", str(model)) as server:
        logged(server, "ready")  # the second is
        model.unlink()
        for worker in children(server.process.pid):
            os.kill(worker, signal.SIGKILL)
        assert server.process.wait(PATIENCE) == 1
        assert logged(server, "no worker is left")


def test_several_workers_need_no_temporary_folder() -> None:
    program = (
        "import tempfile; from mnist_serving.cli import main; tempfile._candidate_tempdir_list = lambda: [];"
        "main(['serve', '--port', '0', '--linger', '0', '--workers', '2'])"
    )
    with running_server(command=["-c", program]) as server:
        assert server.call("POST", "/predict", BODY).status == 200
        assert b'status="200"} 1.0' in server.call("GET", "/metrics").body
        assert server.stop() == 0


def test_what_a_dead_worker_counted_stays_and_it_has_no_requests_in_flight() -> None:
    with running_server("--workers", "2") as server:
        logged(server, "ready")  # the second is
        workers = children(server.process.pid)
        for _ in range(20):
            server.call("POST", "/predict", BODY)
        with server.connect() as connection:
            connection.sendall(PREDICT[:-1])
            eventually(lambda: b"in_flight 1.0" in server.call("GET", "/metrics").body, "a request in flight")
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
                logged(server, "ready")  # its replacement is
        metrics = server.call("GET", "/metrics").body.decode()
        assert 'route="/predict",status="200"} 20.0' in metrics
        assert "mnist_images_total 20.0" in metrics
        assert "in_flight 0.0" in metrics
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
        assert "died with code -9 before it was done" in logged(server, "died")


def test_workers_end_when_the_process_that_started_them_is_killed() -> None:
    with running_server("--workers", "2") as server:
        eventually(lambda: len(children(server.process.pid)) == 2, "two workers")
        server.process.kill()
        eventually(lambda: refused(server), "the workers to end")


def supervise(work: str, preparation: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run two workers in a process of their own."""
    program = (
        "import os, signal, socket, sys; from mnist_serving.http.transport.workers import Supervisor;"
        f"listeners = [socket.create_server(('127.0.0.1', 0))]; {preparation};"
        f"sys.exit(Supervisor(lambda place, ready: {work}, listeners, count=2).run())"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_a_worker_that_dies_before_it_is_ready_ends_the_server() -> None:
    done = supervise("os.abort()")
    assert done.returncode == 1
    assert re.fullmatch(r"worker \d+ died with code -6 before it was ready\n", done.stderr)


def test_a_signal_ends_a_worker_that_has_only_been_forked() -> None:
    done = supervise("print('it serves')", "os.setpgrp = lambda: os.kill(os.getpid(), signal.SIGTERM)")
    assert done.stdout == ""
    assert re.match(r"worker \d+ died with code -15 ", done.stderr)
