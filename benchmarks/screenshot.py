"""The picture of the drawing page for the README, with a digit that is drawn here.

    python -m benchmarks.screenshot [--out docs/page.png]

Starts the service, draws a 7 with the mouse in a headless Chromium, waits for the answer and writes what the window
shows. Run it again after a change to the page or the model; the fonts are those of the machine.
"""

import argparse
import io
import sys
from pathlib import Path

from PIL import Image

from tests.drawing_page import draw, guess, show
from tests.http_server import running_server
from tests.web_driver import missing, running_browser

WINDOW = {"width": 1024, "height": 912, "deviceScaleFactor": 1, "mobile": False}  # CSS pixels
STILL = [{"name": "prefers-reduced-motion", "value": "reduce"}]  # else the bars are still growing
COLOURS = 64  # enough for a page of few colours; a quarter of the bytes


def take(path: Path, *, digit: str = "7", seed: int = 1) -> str:
    """Draw a digit on the page and write the picture; return what the page reads."""
    with running_server() as server, running_browser() as browser:
        browser.emulate("Emulation.setDeviceMetricsOverride", **WINDOW)
        browser.emulate("Emulation.setScrollbarsHidden", hidden=True)
        browser.emulate("Emulation.setEmulatedMedia", features=STILL)
        show(browser, server)
        draw(browser, digit, seed)
        answer = guess(browser)
        browser.screenshot(path)
    picture = Image.open(io.BytesIO(path.read_bytes())).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    return answer


def main() -> None:
    """Write the picture and say what the page answered."""
    parser = argparse.ArgumentParser(description="The picture of the drawing page, for the README.")
    parser.add_argument("--out", type=Path, default=Path("docs/page.png"), help="default: %(default)s")
    path = parser.parse_args().out
    if reason := missing():
        sys.exit(f"screenshot: {reason}")
    answer = take(path)
    print(f"{path}: {path.stat().st_size:,} bytes; the page reads the drawing as {answer}")


if __name__ == "__main__":
    main()
