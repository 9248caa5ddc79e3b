"""The drawing page in a browser: open it, draw on it, give it pictures, read it."""

import base64
import io

from PIL import Image, ImageDraw

from tests.handwriting import Stroke, write_digit
from tests.http_server import Server
from tests.web_driver import AnyBrowser

GUESS = "document.getElementById('guess').textContent"
NOTICE = "document.getElementById('notice').textContent"
ANSWERED = "document.getElementById('bars').ariaBusy === 'false'"
RESTING = f"{ANSWERED} && !document.getElementById('paper').classList.contains('drawing')"
PIXELS = """
const canvas = document.getElementById(arguments[0]);
return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)
  .filter((_, place) => place % 4 === 0);
"""
SHOW = {  # how a picture file gets in; the function gets its name, type and content in base64
    "dropped": "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true}))",
    "pasted": "document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: files, bubbles: true}))",
}
FILES = """
const [name, type, content] = arguments;
const files = new DataTransfer();
files.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name, {type}));
"""


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def show(browser: AnyBrowser, server: Server, path: str = "/") -> None:
    """Open the page, and wait until it knows the model."""
    browser.open(address(server) + path)
    browser.wait("document.querySelectorAll('#bars tr').length > 0")


def on_sheet(page: AnyBrowser, strokes: list[Stroke]) -> list[list[tuple[float, float]]]:
    """Return strokes given in hundredths of the sheet in pixels of the window, into which it is scrolled."""
    box = page.run(
        "const paper = document.getElementById('paper'); paper.scrollIntoView({block: 'nearest'});"
        "return paper.getBoundingClientRect().toJSON()"
    )
    return [
        [(box["left"] + x * box["width"] / 100, box["top"] + y * box["height"] / 100) for x, y in s] for s in strokes
    ]


def draw(page: AnyBrowser, digit: str, seed: int = 0, pointer: str = "mouse") -> None:
    page.draw(on_sheet(page, write_digit(digit, seed)), pointer=pointer)


def draw_number(page: AnyBrowser, *lines: str) -> None:
    """Write digits in a row, or in several."""
    page.press("Delete")
    strokes = [
        stroke * (0.5, 0.4) + (5 + 45 * column, 3 + 55 * row)
        for row, line in enumerate(lines)
        for column, digit in enumerate(line)
        for stroke in write_digit(digit, 3)
    ]
    page.draw(on_sheet(page, strokes))


def click_drawing(page: AnyBrowser, name: str) -> None:
    """Click a drawing of the gallery."""
    page.run("document.querySelector(`#gallery [title='${arguments[0]}']`).click()", name)


def guess(page: AnyBrowser) -> str:
    """Wait until the drawing is answered; return the guess."""
    page.wait(ANSWERED)
    return str(page.run(f"return {GUESS}"))


def picture_of(digit: str) -> bytes:
    """Return a PNG, wider than high, of a digit in blue ink on grey paper."""
    picture = Image.new("RGB", (700, 500), (205, 205, 200))
    pen = ImageDraw.Draw(picture)
    for stroke in write_digit(digit, 0):
        pen.line([(100 + 5 * x, 5 * y) for x, y in stroke], fill=(30, 40, 90), width=34, joint="curve")
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def bring(page: AnyBrowser, way: str, content: bytes, kind: str = "image/png") -> None:
    """Bring a file onto the page."""
    page.run(FILES + SHOW[way], "file", kind, base64.b64encode(content).decode())
