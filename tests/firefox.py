"""A headless Firefox, driven as the W3C's WebDriver BiDi says (https://www.w3.org/TR/webdriver-bidi/).

Firefox speaks it by itself, so no driver program is needed.
"""

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.web_driver import PATIENCE, AnyBrowser, DriverError

COMMANDS = ("firefox-esr", "firefox")
FLAGS = ("--headless", "--no-remote", "--remote-debugging-port", "0")
LISTENS = "WebDriver BiDi listening on "
VIEWPORT = {"width": 1100, "height": 860}  # CSS pixels, what Chromium leaves of its window
RUN = "async (values) => JSON.stringify((await (function () {{ {script} }}).apply(null, JSON.parse(values))) ?? null)"
PLACE = """
const element = document.querySelector(arguments[0]);
element.scrollIntoView({ block: "center", behavior: "instant" });
const { left, top, width, height } = element.getBoundingClientRect();
return [left + width / 2, top + height / 2];
"""

Json = Any


class Firefox(AnyBrowser):
    """A Firefox."""

    def __init__(self, socket: ClientConnection) -> None:
        """Begin a session over a connection."""
        self._errors: list[str] = []
        self._socket = socket
        self._numbers = itertools.count()
        self._call("session.new", capabilities={})
        self._call("session.subscribe", events=["log.entryAdded"])
        self._context = self._call("browsingContext.getTree")["contexts"][0]["context"]
        self._command("browsingContext.setViewport", viewport=VIEWPORT)

    def open(self, url: str) -> None:
        self._command("browsingContext.navigate", url=url, wait="complete")

    def run(self, script: str, *arguments: Json) -> Json:
        values = [{"type": "string", "value": json.dumps(arguments)}]
        function = RUN.format(script=script)
        reply = self._evaluate("script.callFunction", functionDeclaration=function, arguments=values)
        return json.loads(reply["value"])

    def click(self, selector: str) -> None:
        self.draw([[self.run(PLACE, selector)]])

    def choose_file(self, selector: str, path: Path) -> None:
        element = self._evaluate("script.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self._command("input.setFiles", element={"sharedId": element["sharedId"]}, files=[str(path)])

    def perform(self, device: Json) -> None:
        self._command("input.performActions", actions=[device])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._command("browsingContext.captureScreenshot")["data"]))

    def errors(self) -> list[str]:
        self.run("")  # what has happened until now comes before the answer
        errors, self._errors = self._errors, []
        return errors

    def close(self) -> None:
        """End the browser."""
        self._call("browser.close")

    def _evaluate(self, method: str, **parameters: Json) -> Json:
        reply = self._call(method, target={"context": self._context}, awaitPromise=True, **parameters)
        if reply["type"] == "exception":
            raise DriverError(reply["exceptionDetails"]["text"])
        return reply["result"]

    def _command(self, method: str, **parameters: Json) -> Json:
        """Send a command to the page."""
        return self._call(method, context=self._context, **parameters)

    def _call(self, method: str, **parameters: Json) -> Json:
        """Send a command to the browser; return its result. Events that come before it are noted."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv(PATIENCE))).get("id") != number:
            if message["params"]["level"] == "error":
                self._errors.append(message["params"]["text"])
        if message["type"] == "error":
            raise DriverError(message["message"])
        return message["result"]


def find_firefox() -> str | None:
    """Return the command of the first Firefox on the path."""
    return next((found for command in COMMANDS if (found := shutil.which(command))), None)


def missing() -> str | None:
    """Return what is not installed, or None."""
    return None if find_firefox() else "firefox is not installed: on Debian, apt-get install firefox-esr"


@contextmanager
def running_firefox(*preferences: str) -> Iterator[Firefox]:
    """Run a Firefox with a profile of its own, in which these preferences are on; end it afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f'user_pref("{name}", true);\n' for name in preferences]
        Path(profile, "user.js").write_text("".join(lines), encoding="utf-8")
        command = [find_firefox() or COMMANDS[0], *FLAGS, "--profile", profile]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                line = next(line for line in process.stderr if line.startswith(LISTENS))
                address = f"{line.removeprefix(LISTENS).strip()}/session"
                with connect(address, max_size=None, proxy=None) as socket:
                    firefox = Firefox(socket)
                    yield firefox
                    firefox.close()
            finally:
                process.terminate()
