"""The page of the HTTP API in a browser: open it, choose an example, send it."""

from tests.web_driver import AnyBrowser

CALL = "document.querySelector('#calls [open]')"
STATUS = f"{CALL}.querySelector('form + p').textContent"
REPLY = f"{CALL}.querySelector('form + p + div').textContent"
OPEN = "for (const part of document.querySelectorAll('#calls details')) part.open = part.id === arguments[0]"
CHOOSE = f"""
const select = {CALL}.querySelector("[name=example]");
select.value = arguments[0];
select.dispatchEvent(new Event("change", {{ bubbles: true }}));
"""


def open_reference(browser: AnyBrowser, address: str, call: str = "/predict") -> None:
    """Open the page, and in it a call."""
    browser.open(f"{address}/docs")
    browser.wait("document.querySelectorAll('#schemas details').length > 0")
    browser.run(OPEN, call)
    browser.wait(f"{CALL}.querySelectorAll('form').length > 0")


def choose(browser: AnyBrowser, example: str) -> None:
    """Choose an example of the open call by its name."""
    browser.run(CHOOSE, example)


def send(browser: AnyBrowser) -> str:
    """Send the open call; return the status that the page shows."""
    browser.click("#calls [open] .send")
    browser.wait(f"{STATUS}.includes(' ms')")
    return str(browser.run(f"return {STATUS}"))


def programs(browser: AnyBrowser) -> tuple[str, str]:
    """Return the open call as a `curl` line and as Python."""
    curl, python = browser.run(f"return [...{CALL}.querySelectorAll('.title + pre')].map((area) => area.textContent)")
    return curl, python
