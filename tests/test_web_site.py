"""examples/web in a real browser: the built site answers as the package does, from any folder of a static server."""

import base64
import io
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import Classifier, canonicalize
from mnist_serving.images import read_grey
from PIL import Image

from benchmarks.degrade import KINDS, Picture, degrade
from benchmarks.environments import WEB
from benchmarks.launch import RuntimeMissingError, check_made, find_command
from benchmarks.runtimes import draw_images
from tests.handwriting import write_digit
from tests.other_models import write_convolutional_model
from tests.static_site import KEPT, READY, build_site, served
from tests.web_driver import Browser

CLASSIFIER = Classifier()
TOLERANCE = 1e-4  # of probabilities

# Guess pictures, given as [height, width, base64 of the grey levels], in a worker like the page's own.
GUESS = """
const worker = new Worker("worker.js", { type: "module" });
const ask = (message) => new Promise((done) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => done(data);
  worker.postMessage(message, [port2]);
});
const answers = async () => {
  const replies = [await ask({})];
  for (const [height, width, text] of arguments[0]) {
    const pixels = new ImageData(width, height);
    [...atob(text)].forEach((letter, place) => pixels.data.fill(letter.charCodeAt(0), 4 * place, 4 * place + 3));
    for (let place = 3; place < pixels.data.length; place += 4) pixels.data[place] = 255;
    replies.push(await ask({ pixels }));
  }
  return replies.slice(1).map(({ reply, error }) => (reply ? { ...reply, seen: [...reply.seen] } : error));
};
return answers();
"""

# Before the page's own scripts: keep what it last gave its worker to guess.
KEEP_SENT = """
const { postMessage } = Worker.prototype;
Worker.prototype.postMessage = function (message, ports) {
  window.sent = message.pixels;
  postMessage.call(this, message, ports);
};
"""

# What it last gave, as a PNG in base64.
SENT = """
const { width, height } = window.sent;
const canvas = Object.assign(document.createElement("canvas"), { width, height });
canvas.getContext("2d").putImageData(window.sent, 0, 0);
return canvas.toDataURL().split(",")[1];
"""

# What the page shows.
READ = """
const find = (id) => document.getElementById(id);
const { data } = find("seen").getContext("2d").getImageData(0, 0, 28, 28);
return {
  guess: find("guess").textContent,
  comment: find("comment").textContent,
  notice: find("notice").textContent,
  labels: [...find("bars").rows].map((row) => row.cells[0].textContent),
  shares: [...find("bars").rows].map((row) => parseFloat(row.cells[2].textContent) / 100),
  seen: [...data].filter((_, place) => place % 4 === 0),
};
"""

ANSWERED = "document.getElementById('bars').ariaBusy === 'false'"
PASTE = """
const files = new DataTransfer();
files.items.add(new File([Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0))], "page.png"));
document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: files }));
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    return build_site(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def browser(browser: Browser) -> Browser:
    browser.emulate("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SENT)
    return browser


@pytest.fixture(scope="module")
def address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(site, tmp_path_factory.mktemp("server")) as copy:
        yield copy.address


@pytest.fixture
def page(browser: Browser, address: str) -> Browser:
    """The browser with the site open, its model loaded."""
    browser.open(address)
    browser.wait(READY)
    return browser


def assert_shows_what_python_says(page: Browser) -> str:
    """Compare the page, once it has answered, with the package on the same pixels; return the guess."""
    page.wait(ANSWERED)
    shown = page.run(READ)
    seen = canonicalize(read_grey(base64.b64decode(page.run(SENT))))
    said = CLASSIFIER.predict(seen)
    assert shown["seen"] == seen.ravel().tolist()
    assert shown["guess"] == ("not sure" if said.abstained[0] else said.labels[0])
    np.testing.assert_allclose(shown["shares"], said.probabilities[0], atol=0.0006)  # shown to a tenth of a per cent
    assert shown["notice"] == ""
    return str(shown["guess"])


def has_ink(picture: Picture) -> bool:
    try:
        canonicalize(picture)
    except ValueError:
        return False
    return True


def test_it_answers_as_the_package_does(page: Browser) -> None:
    golden = CLASSIFIER.contract.golden.images[:, 0]
    strokes = draw_images(25)[:-3, 0]
    degraded = [degrade(stroke, list(KINDS)[place % len(KINDS)], place) for place, stroke in enumerate(strokes)]
    pictures = [picture for picture in [*golden, *degraded] if has_ink(picture)]
    replies = page.run(GUESS, [[*one.shape, base64.b64encode(one.tobytes()).decode()] for one in pictures])
    seen = np.stack([canonicalize(picture) for picture in pictures])
    said = CLASSIFIER.predict(seen)
    assert [reply["label"] for reply in replies] == said.labels
    assert [reply["abstained"] for reply in replies] == said.abstained.tolist()
    assert [reply.get("reason", "") for reply in replies] == [said.reason(row) for row in range(len(replies))]
    assert [reply["seen"] for reply in replies] == seen.reshape(len(seen), -1).tolist()
    np.testing.assert_allclose([reply["probabilities"] for reply in replies], said.probabilities, atol=TOLERANCE)
    np.testing.assert_allclose([reply["digit"] for reply in replies], said.digit, atol=TOLERANCE)
    np.testing.assert_allclose([reply["probability"] for reply in replies], said.probabilities.max(1), atol=TOLERANCE)
    assert {True, False} == set(said.abstained.tolist())


def test_digits_drawn_with_the_mouse_are_guessed_as_the_package_guesses_them(page: Browser) -> None:
    left, top, side = page.run(
        "const box = document.getElementById('paper').getBoundingClientRect(); return [box.left, box.top, box.width]"
    )
    right = 0
    for digit in CLASSIFIER.labels:
        page.click("#clear")
        page.draw([[(left + x * side / 100, top + y * side / 100) for x, y in pen] for pen in write_digit(digit, 0)])
        right += assert_shows_what_python_says(page) == digit
    assert right >= 8


def test_it_is_not_sure_about_drawings_that_are_not_digits(page: Browser) -> None:
    page.click("[title=scribble]")
    assert assert_shows_what_python_says(page) == "not sure"
    assert page.run(READ)["comment"] == "Probably not a digit."


def test_a_sheet_without_a_stroke_has_no_guess(page: Browser) -> None:
    page.click("[title=two]")
    assert_shows_what_python_says(page)
    page.click("#clear")
    page.wait(ANSWERED)
    shown = page.run(READ)
    assert shown["comment"].startswith("Nothing is drawn")
    assert not any(shown["seen"])


@pytest.mark.parametrize("size", [(120, 90), (4, 500)])
def test_it_says_what_python_says_about_a_picture_that_is_blank_or_too_narrow(
    page: Browser, size: tuple[int, int]
) -> None:
    file = io.BytesIO()
    Image.new("RGBA", size, (255, 255, 255, 0)).save(file, "PNG")
    page.run(PASTE, base64.b64encode(file.getvalue()).decode())
    page.wait("document.getElementById('notice').textContent")
    with pytest.raises(ValueError, match="digit") as refused:
        canonicalize(read_grey(file.getvalue()))
    assert page.run(READ)["notice"].casefold() == f"{refused.value}.".casefold()


def test_it_loads_nothing_from_elsewhere_and_the_console_stays_quiet(browser: Browser, address: str) -> None:
    browser.log("browser")
    browser.open(address)
    browser.wait(READY)
    browser.click("[title=two]")
    assert_shows_what_python_says(browser)
    loaded = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith((address, "data:")) for name in loaded)
    assert [entry["message"] for entry in browser.log("browser") if entry["level"] == "SEVERE"] == []


def test_labels_and_threshold_are_those_of_the_description(browser: Browser, site: Path, tmp_path: Path) -> None:
    with served(site, tmp_path) as copy:
        description = copy.folder / "model.json"
        contract = json.loads(description.read_text())
        contract["labels"] = [f"class {label}" for label in contract["labels"]]
        contract["confidence_threshold"] = 2
        description.write_text(json.dumps(contract))
        browser.open(copy.address)
        browser.wait(READY)
        assert browser.run(READ)["labels"] == contract["labels"]
        browser.click("[title=two]")
        browser.wait(ANSWERED)
        assert browser.run(READ)["guess"] == "not sure"
        assert browser.run("return document.querySelector('#bars .best th').textContent") == "class 2"


def test_a_model_that_does_not_answer_its_golden_examples_is_refused(
    browser: Browser, site: Path, tmp_path: Path
) -> None:
    with served(site, tmp_path) as copy:
        description = copy.folder / "model.json"
        contract = json.loads(description.read_text())
        contract["golden"]["logits"][1][3] += 0.01
        description.write_text(json.dumps(contract))
        browser.open(copy.address)
        browser.wait("document.getElementById('notice').textContent.startsWith('Model.onnx is not the model')")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.json", "model.json is missing: the server answers with status 404."),
        ("model.onnx", "model.onnx is missing: the server answers with status 404."),
        ("dense.js", "The model cannot be started."),
    ],
)
def test_a_server_that_lacks_a_file_is_told(name: str, said: str, browser: Browser, site: Path, tmp_path: Path) -> None:
    with served(site, tmp_path) as copy:
        (copy.folder / name).unlink()
        browser.open(copy.address)
        browser.wait("document.getElementById('notice').textContent.includes(arguments[0])", said)


def test_its_own_server_gives_the_site_and_nothing_else(site: Path) -> None:
    command = [find_command("node"), str(WEB.folder / "serve.js"), "0", str(site)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        try:
            for name, kind in (("", "text/html"), ("model.js", "text/javascript"), ("model.json", "application/json")):
                with urllib.request.urlopen(f"{address}/{name}") as reply:  # noqa: S310 (our own server)
                    assert reply.headers["Content-Type"] == kind
                    assert reply.read() == (site / (name or "index.html")).read_bytes()
            for name in ("../package.json", "..%2fpackage.json", "gone", "/"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(f"{address}/{name}")  # noqa: S310 (our own server)
            command[2] = address.rpartition(":")[2]
            second = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
            assert (second.returncode, second.stderr.count("\n")) == (1, 1)
            assert second.stderr.endswith("node serve.js PORT takes another port\n")
        finally:
            server.terminate()


def test_it_loads_less_than_1_mb_and_nothing_but_its_own_files(browser: Browser, site: Path, tmp_path: Path) -> None:
    with served(site, tmp_path) as copy:
        browser.open(copy.address)
        browser.wait(READY)
        browser.wait(KEPT)
        assert copy.bytes < 1_000_000
        assert {name or "index.html" for name in copy.asked} == {path.name for path in site.iterdir()}


def test_without_a_network_it_loads_again_and_guesses(browser: Browser, site: Path, tmp_path: Path) -> None:
    with served(site, tmp_path) as copy:
        browser.open(copy.address)
        browser.wait(KEPT)
    browser.open(f"{copy.address}index.html?again")
    browser.wait(READY)
    browser.click("[title=two]")
    assert assert_shows_what_python_says(browser) == "2"


def test_while_the_model_is_loading_it_says_so_and_then_it_answers(
    browser: Browser, site: Path, tmp_path: Path
) -> None:
    with served(site, tmp_path, opened=False) as copy:
        browser.open(copy.address)
        browser.click("[title=two]")
        assert browser.run(READ)["comment"] == "Loading…"
        copy.open.set()
        browser.wait(READY)
        assert assert_shows_what_python_says(browser) == "2"


def test_the_last_of_several_builds_is_kept_and_other_sites_keep_their_own(
    browser: Browser, site: Path, tmp_path: Path
) -> None:
    with served(site, tmp_path) as copy:
        browser.open(copy.address)
        browser.wait(KEPT)
        browser.run("return Promise.all([caches.open('another site'), caches.open(`${location.href} older`)])")
        browser.run("return navigator.serviceWorker.getRegistration().then((found) => found.unregister())")
        browser.open(copy.address)
        browser.wait("caches.keys().then((names) => names.length === 2)")
        kept = browser.run("return caches.keys()")
        assert "another site" in kept
        assert f"{copy.address} older" not in kept


def test_a_network_with_other_layers_runs_in_onnxruntime_web(browser: Browser, tmp_path: Path) -> None:
    try:
        check_made(WEB)
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    model = write_convolutional_model(tmp_path / "model")
    with served(build_site(tmp_path / "site", model.parent), tmp_path / "root") as copy:
        browser.open(copy.address)
        browser.wait(READY)
        browser.click("[title=two]")
        browser.wait(ANSWERED)
        shown = browser.run(READ)
        said = Classifier(model).predict(np.array(shown["seen"], np.uint8).reshape(28, 28))
        np.testing.assert_allclose(shown["shares"], said.probabilities[0], atol=0.0006)
        assert "ort-wasm-simd-threaded.wasm" in copy.asked
