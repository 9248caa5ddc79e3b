"""The static site of examples/web: build it, serve it."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks.environments import WEB
from benchmarks.launch import RuntimeMissingError, find_command
from tests.web_driver import PATIENCE

FOLDER = "some/where"  # that the site lies in: its addresses must not begin at the root
READY = "document.getElementById('bars').rows.length > 0"
KEPT = "navigator.serviceWorker.ready.then(() => true)"  # its files are there without a network


@dataclass
class Site:
    """A served copy of the site: where it is, its files, the paths that were asked for, and the bytes sent.

    While `open` is not set the model is asked for in vain.
    """

    address: str
    folder: Path
    asked: list[str] = field(default_factory=list)
    bytes: int = 0
    open: threading.Event = field(default_factory=threading.Event)


def build_site(folder: Path, *model: Path) -> Path:
    """Build the site into a folder, or skip the test; `model` is the folder of another model than the package's."""
    try:
        subprocess.run([find_command("node"), WEB.folder / "build.js", folder, *model], check=True)
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    return folder


@contextmanager
def served(built: Path, root: Path, *, opened: bool = True) -> Iterator[Site]:
    """Serve a copy of the site in a folder of a static server that knows nothing of it; the model once it is open."""
    shutil.copytree(built, root / FOLDER)

    class Quiet(SimpleHTTPRequestHandler):
        def copyfile(self, source: Any, outputfile: Any) -> None:  # noqa: ANN401 (the signature is the library's)
            content = source.read()
            if self.path.endswith(".onnx"):
                site.open.wait(PATIENCE)
            site.asked.append(self.path.removeprefix(f"/{FOLDER}/"))
            site.bytes += len(content)
            outputfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root))
    site = Site(f"http://127.0.0.1:{server.server_port}/{FOLDER}/", root / FOLDER)
    if opened:
        site.open.set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
