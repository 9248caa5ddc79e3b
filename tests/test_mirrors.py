"""Downloads from a real HTTP server that misbehaves in every way that mirrors do."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stages.datasets import mirrors
from stages.datasets.mirrors import MirrorError, fetch_from_first

CONTENT = b"\x1f\x8b" + bytes(range(256)) * 300
CHECKSUMS = {"file.gz": sha256(CONTENT).hexdigest()}


class Mirror(BaseHTTPRequestHandler):
    """Serves `/<behaviour>/file.gz`."""

    stop = threading.Event()

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        getattr(self, behaviour)()

    def whole(self) -> None:
        self._send(200, CONTENT)

    def missing(self) -> None:
        self._send(404, b"not here")

    def broken(self) -> None:
        self._send(503, b"later")

    def page(self) -> None:
        self._send(200, b"<!DOCTYPE html><html>please log in</html>")

    def half(self) -> None:
        self._send(200, CONTENT[: len(CONTENT) // 2])

    def other(self) -> None:
        self._send(200, CONTENT[::-1])

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.stop.is_set():
            self.wfile.write(bytes(1 << 16))

    def cut(self) -> None:
        self._send(200, CONTENT[:40_000], length=len(CONTENT))

    def stall(self) -> None:
        self._send(200, CONTENT[:40_000], length=len(CONTENT), then_wait=True)

    def silent(self) -> None:
        self.stop.wait()

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        for byte in CONTENT:
            self.wfile.write(bytes([byte]))
            if self.stop.wait(0.02):
                return

    def _send(self, status: int, body: bytes, *, length: int | None = None, then_wait: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        if then_wait:
            self.stop.wait()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client gave up on this mirror: that is what is tested
            super().handle()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        Mirror.stop.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "PATIENCE", 0.3)
    monkeypatch.setattr(mirrors, "LARGEST_FILE", 1 << 20)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("missing", "HTTP Error 404"),
        ("broken", "HTTP Error 503"),
        ("page", "a web page, not the file"),
        ("half", "incomplete or a different file"),
        ("other", "not a gzip file"),
        ("cut", "bytes short"),
        ("stall", "stalled"),
        ("silent", "stalled"),
        ("drip", "stalled"),
        ("endless", "more than 1,048,576 bytes"),
    ],
)
def test_a_mirror_that_misbehaves_is_reported_and_skipped(
    server: str, behaviour: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = fetch_from_first([f"{server}/{behaviour}", f"{server}/whole/"], CHECKSUMS)
    assert files == {"file.gz": CONTENT}
    said = capsys.readouterr().out
    assert f"{server}/{behaviour}: file.gz" in said
    assert f"read from {server}/whole/" in said
    with pytest.raises(MirrorError, match=reason):
        fetch_from_first([f"{server}/{behaviour}"], CHECKSUMS)


def test_a_folder_can_be_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(CONTENT)
    assert fetch_from_first([str(tmp_path / "none"), str(tmp_path)], CHECKSUMS) == {"file.gz": CONTENT}


def test_if_all_mirrors_fail_each_is_reported_with_its_reason(server: str, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:1"
    sources = [str(tmp_path / "none"), str(tmp_path), f"{server}/page", nobody, "https://[broken", "ftp://host/folder"]
    with pytest.raises(MirrorError) as caught:
        fetch_from_first(sources, CHECKSUMS)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(sources)
    assert all(line.startswith(f"  {source}: ") for source, line in zip(sources, lines, strict=True))
    assert "no such folder" in lines[0]
    assert "No such file" in lines[1]
    assert "refused" in lines[3]


def test_many_silent_mirrors_share_the_patience(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "PATIENCE", 5.0)
    monkeypatch.setattr(mirrors, "PATIENCE_IN_ALL", 1.0)
    start = time.monotonic()
    with pytest.raises(MirrorError):
        fetch_from_first([f"{server}/silent"] * 10, CHECKSUMS)
    assert time.monotonic() - start < 10  # not the 50 that ten times 5 seconds would be
