"""One page in a headless Chromium, with files beside it, and what it posts back: `runtimes.py` and tests use it."""

import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import urlsplit

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # which root may not use, and containers often lack; the page is ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}
SECONDS = 120  # a browser that has not answered by then never will

# Before the page's own scripts: an error, wherever it happens, is posted as well.
REPORT_ERRORS = b"""<script>
  const complain = (reason) => fetch("error", { method: "POST", body: String(reason) });
  addEventListener("error", (event) => complain(event.message));
  addEventListener("unhandledrejection", (event) => complain(event.reason));
</script>
"""


class BrowserError(Exception):
    """The page failed or did not answer."""


def find_browser() -> str | None:
    """Return the command of the first Chromium on the path."""
    return next((found for command in COMMANDS if (found := shutil.which(command))), None)


def post_from(page: str, files: Mapping[str, bytes], *, browser: str) -> bytes:
    """Open a page, by name with its query, of some files by name; return the first thing that it posts to `answer`.

    Raises:
        BrowserError: a script of the page failed, or nothing came.

    """
    with _serving(files) as (port, posted), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        url = f"http://127.0.0.1:{port}/{page}"
        command = [browser, *FLAGS, f"--user-data-dir={profile}", url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            name, body = posted.get(timeout=SECONDS)
        except queue.Empty:
            raise BrowserError(f"{page}: nothing came from the browser within {SECONDS} seconds") from None
        finally:
            process.terminate()
            process.wait()
    if name != "answer":
        raise BrowserError(f"{page}: {body.decode(errors='replace')}")
    return body


@contextmanager
def _serving(files: Mapping[str, bytes]) -> Iterator[tuple[int, queue.Queue[tuple[str, bytes]]]]:
    """Serve files by name on a free port of this machine; give the port and the queue of what is posted."""
    posted: queue.Queue[tuple[str, bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = urlsplit(self.path).path.lstrip("/")
            self._reply(200 if name in files else 404, name, files.get(name, b""))

        def do_POST(self) -> None:
            posted.put((self.path.lstrip("/"), self.rfile.read(int(self.headers["Content-Length"]))))
            self._reply(200, "", b"")

        def _reply(self, status: int, name: str, body: bytes) -> None:
            suffix = PurePosixPath(name).suffix
            body = REPORT_ERRORS + body if suffix == ".html" else body
            self.send_response(status)
            self.send_header("Content-Type", TYPES.get(suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, posted
    finally:
        server.shutdown()
        server.server_close()
