"""Browsers without a window, with one page each, to draw on and to read.

`Browser` is a Chromium, driven as the W3C's WebDriver says (https://www.w3.org/TR/webdriver2/), with chromedriver. What
`AnyBrowser` has, the Firefox of `firefox.py` has too.
"""

import base64
import json
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from benchmarks.browser import FLAGS, find_browser

PATIENCE = 20  # seconds, for anything that must happen
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, fixed by the W3C
KEYS = {"Control": "\ue009", "Backspace": "\ue003", "Delete": "\ue017", "Escape": "\ue00c", "Tab": "\ue004"}
KEYS |= {"ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015"}

DIRECT = build_opener(ProxyHandler({}))  # whatever proxy the environment names: chromedriver is here

Json = Any
Point = tuple[float, float]


class DriverError(Exception):
    """The browser could not do what it was told."""


class AnyBrowser(ABC):
    """A browser with one page."""

    @abstractmethod
    def open(self, url: str) -> None:
        """Go to a page, and wait until it is loaded."""

    @abstractmethod
    def run(self, script: str, *arguments: Json) -> Json:
        """Run the body of a function in the page; return what it returns, or what its promise becomes."""

    @abstractmethod
    def click(self, selector: str) -> None:
        """Click an element in its middle."""

    @abstractmethod
    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file, as if in the dialog of an input."""

    @abstractmethod
    def perform(self, device: Json) -> None:
        """Perform the actions of a keyboard or a pointer."""

    @abstractmethod
    def screenshot(self, path: Path) -> None:
        """Write what the window shows, as a PNG."""

    @abstractmethod
    def errors(self) -> list[str]:
        """Return the errors of the page's scripts since it was last asked."""

    def wait(self, condition: str, *arguments: Json) -> Json:
        """Wait until an expression is true in the page; return its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(f"return {condition}", *arguments)):
            if time.monotonic() > end:
                raise DriverError(f"still waiting for {condition}")
            time.sleep(0.02)
        return value

    def press(self, *keys: str) -> None:
        """Press keys one after the other; `Control+z` holds the first meanwhile."""
        actions = []
        for key in keys:
            held = [KEYS.get(part, part) for part in key.split("+")]
            actions += [{"type": "keyDown", "value": part} for part in held]
            actions += [{"type": "keyUp", "value": part} for part in reversed(held)]
        self.perform({"type": "key", "id": "keys", "actions": actions})

    def draw(self, strokes: Sequence[Sequence[Point]], *, pointer: str = "mouse") -> None:
        """Draw strokes on the window, in CSS pixels, with a pointer that is pressed meanwhile."""
        actions: list[Json] = []
        for stroke in strokes:
            moves = [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)} for x, y in stroke]
            actions += [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        self.perform({"type": "pointer", "id": pointer, "parameters": {"pointerType": pointer}, "actions": actions})


@dataclass
class Browser(AnyBrowser):
    """A Chromium."""

    session: str

    def open(self, url: str) -> None:
        self._command("url", {"url": url})

    def run(self, script: str, *arguments: Json) -> Json:
        return self._command("execute/sync", {"script": script, "args": arguments})

    def find(self, selector: str) -> str:
        """Return the id of an element."""
        found: dict[str, str] = self._command("element", {"using": "css selector", "value": selector})
        return found[ELEMENT]

    def click(self, selector: str) -> None:
        self._command(f"element/{self.find(selector)}/click", {})

    def choose_file(self, selector: str, path: Path) -> None:
        self._command(f"element/{self.find(selector)}/value", {"text": str(path)})

    def perform(self, device: Json) -> None:
        self._command("actions", {"actions": [device]})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._command("screenshot")))

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.log("browser") if entry["source"] == "javascript"]

    def emulate(self, method: str, **parameters: Json) -> Json:
        """Send a command of Chromium's own protocol, https://chromedevtools.github.io/devtools-protocol/."""
        return self._command("goog/cdp/execute", {"cmd": method, "params": parameters})

    def log(self, kind: str) -> list[Json]:
        """Return what was logged since it was last asked: `browser`, the console, or `performance`, the network."""
        entries: list[Json] = self._command("se/log", {"type": kind})
        return entries

    def _command(self, name: str, body: Json = None) -> Json:
        return _ask(f"{self.session}/{name}", body)


def missing() -> str | None:
    """Return what a browser needs and is not installed, or None."""
    return next(
        (
            f"{name} is not installed: on Debian, apt-get install {name}"
            for name, path in (("chromium", find_browser()), ("chromium-driver", shutil.which("chromedriver")))
            if path is None
        ),
        None,
    )


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run a browser; end it afterwards."""
    with subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        try:
            line = next(line for line in driver.stdout if "successfully on port" in line)
            address = f"http://127.0.0.1:{line.split()[-1].rstrip('.')}"
            options = {"binary": find_browser(), "args": [*FLAGS, "--window-size=1100,1000"]}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
            created = _ask(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})
            browser = Browser(f"{address}/session/{created['sessionId']}")
            try:
                yield browser
            finally:
                _ask(browser.session, method="DELETE")
        finally:
            driver.terminate()


def _ask(url: str, body: Json = None, method: str = "") -> Json:
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, {"Content-Type": "application/json"}, method=method or None)  # noqa: S310 (chromedriver's own address)
    try:
        with DIRECT.open(request, timeout=PATIENCE) as reply:
            return json.load(reply)["value"]
    except HTTPError as error:
        raise DriverError(json.load(error)["value"]["message"]) from None
