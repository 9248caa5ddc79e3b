"""How long it takes on the static site of examples/web from a stroke to its guess.

    python -m benchmarks.web [--drawings 100]

Digits are drawn with the mouse in a headless Chromium. The clock starts with the last pointer event that changes a
drawing, at the time that the browser gives the event, and stops when the probabilities of the whole drawing stand in
the page. In between lie the wait for the frame, for the guess of an earlier state that is still being worked out,
reading the canvas, canonicalising and the model; the screen's next frame is not in it. The median has to stay below
50 ms. Other work on the same cores counts: measure on a quiet machine.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from benchmarks import at_least_1
from benchmarks.environments import WEB
from benchmarks.launch import RuntimeMissingError, find_command
from tests.handwriting import write_digit
from tests.web_driver import Browser, missing, running_browser

MILLISECONDS_AT_MOST = 50
DIGITS = "0123456789"
READY = "document.getElementById('bars').rows.length"

# Notes when the pointer last drew, and each state of the answer with its time.
WATCH = """
const bars = document.getElementById("bars");
addEventListener("pointermove", (event) => event.buttons && (window.drawn = event.timeStamp), true);
new MutationObserver(() => window.states.push([performance.now(), bars.innerHTML]))
  .observe(bars, { subtree: true, childList: true, attributes: true });
"""

# Milliseconds from that pointer event to the first state that is like the last, once all is answered.
MEASURE = """
const measure = async () => {
  while (document.getElementById("bars").ariaBusy !== "false") await new Promise((done) => setTimeout(done, 50));
  const states = window.states.filter(([time]) => time > window.drawn);
  return states.find(([, state]) => state === states.at(-1)[1])[0] - window.drawn;
};
return measure();
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="From a stroke to its guess, on the static site.")
    parser.add_argument("--drawings", type=at_least_1, default=100, help="how many; default: %(default)s")
    options = parser.parse_args()
    if reason := missing():
        sys.exit(reason)
    try:
        with served_site() as address, running_browser() as browser:
            times = measure(browser, address, options.drawings)
            version = browser.run("return navigator.userAgent.match(/Chrome\\/(\\d+)/)[1]")
    except RuntimeMissingError as error:
        sys.exit(str(error))
    median, late = np.percentile(times, (50, 95))
    print("| from a stroke to its guess | median, ms | p95, ms | largest, ms | n |\n| --- | --- | --- | --- | --- |")
    short = " short of the target" if median > MILLISECONDS_AT_MOST else ""
    print(f"| Chromium {version} | {median:.1f} | {late:.1f} | {max(times):.1f} | {len(times)} |{short}")
    print(f"\n{os.cpu_count()} cores, {platform.system()} on {platform.machine()}")


@contextmanager
def served_site() -> Iterator[str]:
    """Build the site into a folder of its own and serve it; give its address."""
    node = find_command("node")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([node, str(WEB.folder / "build.js"), folder], check=True)
        command = [node, str(WEB.folder / "serve.js"), "0", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None  # noqa: S101 (it is a pipe)
            try:
                yield server.stdout.readline().strip()
            finally:
                server.terminate()


def measure(browser: Browser, address: str, count: int) -> list[float]:
    """Draw digits, one after the other; return the milliseconds that each took, the first one, a warm-up, left out."""
    browser.open(address)
    browser.wait(READY)
    left, top, side = browser.run(
        "const box = document.getElementById('paper').getBoundingClientRect(); return [box.left, box.top, box.width]"
    )
    browser.run(WATCH)
    times = []
    for number in tqdm(range(count + 1), "drawings", leave=False, disable=None):
        browser.click("#clear")
        browser.run("window.states = []")
        strokes = write_digit(DIGITS[number % len(DIGITS)], number)
        browser.draw([[(left + x * side / 100, top + y * side / 100) for x, y in stroke] for stroke in strokes])
        times.append(float(browser.run(MEASURE)))
    return times[1:]


if __name__ == "__main__":
    main()
