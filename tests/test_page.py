"""The drawing page in a real browser; where there is none, the test says what is missing."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mnist_serving import canonicalize
from mnist_serving.http.pages import PAGE, SCRIPTS, drawing_page
from mnist_serving.images import read_grey
from PIL import Image, ImageDraw

from benchmarks.browser import find_browser, post_from
from tests.handwriting import WAYS, Stroke, write_digit
from tests.http_server import Server, eventually, running_server
from tests.other_models import COLOURS, write_colour_model
from tests.test_http_mount import mounted
from tests.web_driver import Browser, missing, running_browser

DIGITS = [(digit, seed) for digit in WAYS for seed in range(10)]
AWAY = "The service cannot be reached. The page goes on trying."
BUSY = "The service is busy. The page goes on trying."
GUESS = "document.getElementById('guess').textContent"
NOTICE = "document.getElementById('notice').textContent"
ANSWERED = "document.getElementById('bars').ariaBusy === 'false'"
PIXELS = """
const canvas = document.getElementById(arguments[0]);
return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)
  .filter((_, place) => place % 4 === 0);
"""
SHOW = {  # how a picture file comes in; the function gets its name, type and content in base64
    "dropped": "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true}))",
    "pasted": "document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: files, bubbles: true}))",
}
FILES = """
const [name, type, content] = arguments;
const files = new DataTransfer();
files.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name, {type}));
"""


GUESSER = b"""
import { start } from "./draw.js";

const prediction = { label: "a", probability: 1, probabilities: [1, 0], abstained: false, seen: new Uint8Array(784) };
start({
  open: async () => ({ labels: ["a", "b"], about: "made up" }),
  guess: async (canvas) => {
    await fetch("answer", { method: "POST", body: `${canvas.width} ${document.getElementById("about").textContent}` });
    return prediction;
  },
});
document.querySelector("#gallery button").click();
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if reason := missing():
        pytest.skip(reason)
    with running_browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Browser]:
    """The page, opened; afterwards: no script failed, no policy was broken, no other host was asked."""
    browser.log("browser")
    browser.log("performance")
    show(browser, server)
    yield browser
    logged = browser.log("browser")  # statuses above 399 are the network's, slow reading of pixels the tests' own
    assert [entry for entry in logged if entry["source"] not in {"network", "rendering"}] == []
    assert {re.match(r"data:|https?://[^/]+", url)[0] for url in requested(browser)} <= {"data:", address(server)}  # type: ignore[index]


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def show(browser: Browser, server: Server, path: str = "/") -> None:
    """Open the page, and wait until it knows the model."""
    browser.open(address(server) + path)
    browser.wait("document.querySelectorAll('#bars tr').length > 0")


def requested(browser: Browser) -> list[str]:
    """Return the addresses that were asked for since the log was last read."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


def on_sheet(page: Browser, strokes: list[Stroke]) -> list[list[tuple[float, float]]]:
    """Return strokes given in hundredths of the sheet in pixels of the window."""
    box = page.run("return document.getElementById('paper').getBoundingClientRect().toJSON()")
    return [
        [(box["left"] + x * box["width"] / 100, box["top"] + y * box["height"] / 100) for x, y in s] for s in strokes
    ]


def draw(page: Browser, digit: str, seed: int = 0, pointer: str = "mouse") -> None:
    page.draw(on_sheet(page, write_digit(digit, seed)), pointer=pointer)


def guess(page: Browser) -> str:
    """Wait until the drawing is answered; return what stands there large."""
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


def bring(page: Browser, way: str, content: bytes, kind: str = "image/png") -> None:
    """Bring a file onto the page."""
    page.run(FILES + SHOW[way], "file", kind, base64.b64encode(content).decode())


# --- the page as it is put together ---------------------------------------------------------------------


def test_the_page_is_one_document_made_of_all_its_sources() -> None:
    html = drawing_page().content.decode()
    assert {path.name for path in PAGE.glob("*.js")} == set(SCRIPTS)
    assert not re.search(r"^(import|export) ", html, flags=re.MULTILINE)
    assert not re.findall(r"\s(?:src|on\w+|style)=\"", html)
    assert html.count("<script") == html.count("<style") == 1
    assert len(html) < 40_000


def test_a_source_imports_only_what_stands_before_it() -> None:
    for place, name in enumerate(SCRIPTS):
        imported = re.findall(r'^import .* from "\./(.*)";$', (PAGE / name).read_text(), flags=re.MULTILINE)
        assert set(imported) <= set(SCRIPTS[:place])


def test_the_sources_work_as_they_stand_with_another_guesser() -> None:
    if (browser := find_browser()) is None:
        pytest.skip("there is no chromium here")
    files = {path.name: path.read_bytes() for path in PAGE.iterdir()} | {"service.js": GUESSER}
    assert post_from("index.html", files, browser=browser) == b"280 made up"


def test_the_policy_lets_in_what_is_inlined_and_nothing_else(server: Server) -> None:
    for path in ("/", "/docs"):
        policy = server.call("GET", path).headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        hashed = {name: rules.pop(name) for name in ("script-src", "style-src") if name in rules}
        assert hashed.keys() == ({"script-src", "style-src"} if path == "/" else {"style-src"})
        assert all(re.fullmatch(r"'sha256-[\w+/]+='", source) for source in hashed.values())
        assert (rules.pop("connect-src"), rules.pop("img-src")) == ("'self'", "data:")
        assert rules.keys() == {"default-src", "base-uri", "form-action", "frame-ancestors"}
        assert set(rules.values()) == {"'none'"}


def test_the_policy_keeps_out_what_is_injected_and_other_hosts(browser: Browser, server: Server) -> None:
    show(browser, server)
    browser.run("document.head.append(Object.assign(document.createElement('script'), {text: 'window.injected = 1'}))")
    browser.run("document.body.setAttribute('style', 'color: red')")
    assert browser.run("return fetch('http://127.0.0.2:9/').then(() => 'asked', (error) => error.name)") == "TypeError"
    assert browser.run("return [window.injected ?? 'kept out', document.body.style.length]") == ["kept out", 0]
    assert len([entry for entry in browser.log("browser") if "Content Security Policy" in entry["message"]]) >= 3


def test_a_browser_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert missing() == "there is no chromium here: on Debian, apt-get install chromium"


# --- drawing --------------------------------------------------------------------------------------------


def test_95_of_100_digits_drawn_with_the_mouse_are_read_right(page: Browser) -> None:
    wrong = []
    for digit, seed in DIGITS:
        draw(page, digit, seed)
        if (read := guess(page)) != digit:
            wrong.append(f"{digit} ({seed}): {read}")
        page.press("Delete")
    assert len(wrong) <= 5, wrong


@pytest.mark.parametrize("pointer", ["touch", "pen"])
def test_a_finger_and_a_pen_draw_and_do_not_scroll(page: Browser, pointer: str) -> None:
    page.emulate("Emulation.setDeviceMetricsOverride", width=360, height=500, deviceScaleFactor=1, mobile=False)
    try:
        draw(page, "7", pointer=pointer)
        assert guess(page) == "7"
        assert page.run("return scrollY") == 0
    finally:
        page.emulate("Emulation.clearDeviceMetricsOverride")


def test_while_one_draws_one_request_is_under_way_at_a_time_and_the_last_drawing_is_answered(page: Browser) -> None:
    page.run("const ask = fetch; fetch = (call, options) => ask(call, (window.sent = options));")
    draw(page, "3")
    assert guess(page) == "3"
    events = [json.loads(entry["message"])["message"] for entry in page.log("performance")]
    waiting, most, asked = set(), 0, 0
    for event in events:
        if event["method"] == "Network.requestWillBeSent" and "predict" in event["params"]["request"]["url"]:
            waiting.add(event["params"]["requestId"])
            asked += 1
        elif event["method"] in {"Network.loadingFinished", "Network.loadingFailed"}:
            waiting.discard(event["params"]["requestId"])
        most = max(most, len(waiting))
    assert most == 1
    assert asked > 1, "no guess came before the pen was lifted"
    shown = page.run(PIXELS, "seen")
    sent = np.reshape(page.run("return sent.body.arrayBuffer().then((content) => [...new Uint8Array(content)])"), -1)
    grey = read_grey(sent.astype(np.uint8).tobytes())
    assert np.array_equal(canonicalize(grey).ravel(), shown)
    drawn = np.reshape(page.run(PIXELS, "paper"), (560, 560)).reshape(280, 2, 280, 2).mean((1, 3))
    assert np.abs(grey - drawn).mean() < 1


def test_each_class_has_a_bar_as_long_as_it_is_probable(page: Browser) -> None:
    draw(page, "4")
    assert guess(page) == "4"
    rows = page.run("return [...document.querySelectorAll('#bars tr')].map((row) => row.innerText.split(/\\s+/))")
    assert [label for label, _ in rows] == [*"0123456789"]
    shares = [float(share.rstrip("%")) for _, share in rows]
    assert sum(shares) == pytest.approx(100, abs=1)
    bars = page.run(
        "return [...document.querySelectorAll('.bar')].map((bar) => 100 * bar.style.getPropertyValue('--share'))"
    )
    assert bars == pytest.approx(shares, abs=0.06)
    assert page.run("return document.querySelector('.best th').textContent") == "4"


def test_undo_takes_back_a_stroke_or_a_clearing_and_clear_takes_all(page: Browser) -> None:
    ink = "return document.getElementById('paper').toDataURL()"
    draw(page, "1")
    one = page.run(ink)
    draw(page, "0")
    for undo, clear in (("#undo", "#clear"), ("Control+z", "Escape"), ("Control+z", "Delete")):
        act = page.click if undo.startswith("#") else page.press
        both = page.run(ink)
        act(undo)
        assert page.run(ink) == one
        draw(page, "0")
        act(clear)
        assert page.run("return document.getElementById('paper').classList.contains('blank')")
        page.wait(f"{ANSWERED} && {GUESS} === ''")
        act(undo)
        assert page.run(ink) == both
    assert guess(page)


def test_a_click_draws_a_dot(page: Browser) -> None:
    page.click("#paper")
    assert guess(page)
    dark = np.reshape(page.run(PIXELS, "paper"), (560, 560)) < 128
    assert dark.sum() == pytest.approx(np.pi * (0.04 * 560) ** 2, rel=0.02)


def test_the_line_can_be_made_thicker(page: Browser) -> None:
    ink = []
    for width in (3, 14):
        page.run(
            "const range = document.getElementById('width'); range.value = arguments[0];"
            "range.dispatchEvent(new Event('input'))",
            width,
        )
        draw(page, "1")
        ink.append(page.run(PIXELS, "paper").count(0))
        page.press("Delete")
    assert ink[1] > 3 * ink[0]


# --- pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["chosen", *SHOW])
def test_a_picture_is_read_and_can_be_drawn_on(page: Browser, way: str, tmp_path: Path) -> None:
    if way == "chosen":
        (tmp_path / "five.png").write_bytes(picture_of("5"))
        page.choose_file("#file", tmp_path / "five.png")
    else:
        bring(page, way, picture_of("5"))
    page.wait(f"{GUESS} === '5'")
    before = page.run(PIXELS, "seen")
    draw(page, "1")
    page.wait(ANSWERED)
    assert page.run(PIXELS, "seen") != before


@pytest.mark.parametrize("way", SHOW)
def test_a_file_that_is_no_picture_is_told_in_a_sentence(page: Browser, way: str) -> None:
    bring(page, way, b"no picture", "text/plain")
    page.wait(f"{NOTICE} === 'This file is no picture that the browser can read.'")
    draw(page, "7")
    assert guess(page) == "7"
    assert page.run(f"return {NOTICE}") == ""


def test_what_the_service_refuses_is_told_in_its_words(page: Browser) -> None:
    content = io.BytesIO()
    Image.new("L", (300, 300), 255).save(content, "PNG")
    bring(page, "dropped", content.getvalue())
    page.wait(f"{NOTICE}.startsWith('There is no digit in the picture')")
    assert guess(page) == ""


def test_a_picture_larger_than_the_service_takes_is_told_in_a_sentence(browser: Browser) -> None:
    with running_server("--max-body", "1000") as strict:
        show(browser, strict)
        draw(browser, "8")
        browser.wait(f"{NOTICE} === 'The body is larger than 1,000 bytes.'")


# --- the gallery ----------------------------------------------------------------------------------------


def test_the_gallery_has_easy_drawings_hard_ones_and_some_that_are_no_digit(page: Browser) -> None:
    groups = page.run(
        "return Object.fromEntries([...document.querySelectorAll('.group')].map((group) =>"
        " [group.querySelector('h2').textContent,"
        "  [...group.querySelectorAll('button')].map((button) => [button.title, button.dataset.digit])]))"
    )
    read: dict[str, list[tuple[str, str]]] = {name: [] for name in groups}
    for name, drawings in groups.items():
        for title, digit in drawings:
            page.run("document.querySelector(`#gallery [title='${arguments[0]}']`).click()", title)
            read[name].append((digit, guess(page)))
    assert all(digit == found for digit, found in read["Easy"])
    assert any(digit != found for digit, found in read["Hard"]), "nothing that is called hard is misread any more"
    assert "not sure" in [found for _, found in read["No digit"]]
    draw(page, "1")  # one can go on drawing
    page.press("Control+z", "Control+z")
    assert (read["No digit"][-2][1]) == guess(page)


# --- for everybody --------------------------------------------------------------------------------------


def test_every_control_is_reached_by_tab_shows_its_focus_and_has_a_name(page: Browser) -> None:
    focused = """
    const found = document.activeElement;
    const outlined = [found, found.closest("label") ?? found].map((each) => getComputedStyle(each).outlineStyle);
    const name = found.labels?.[0]?.innerText ?? found.ariaLabel ?? found.innerText;
    return [found.id || found.title || name, outlined.some((style) => style !== "none"), Boolean(name)];
    """
    wanted = page.run("return document.querySelectorAll('canvas[tabindex], button, input, a').length")
    names = []
    for _ in range(wanted):
        page.press("Tab")
        name, shown, named = page.run(focused)
        assert shown, f"the focus is not to be seen on {name}"
        assert named, f"{name} has no name"
        names.append(name)
    assert names[:5] == ["paper", "undo", "clear", "file", "width"]
    assert len(set(names)) == wanted


def test_one_can_draw_with_the_keyboard_alone(page: Browser) -> None:
    page.press("Tab", " ", *["ArrowDown"] * 13, " ")
    assert guess(page) == "1"
    page.press(*["ArrowRight"] * 5)  # the pen is lifted: nothing is drawn
    assert guess(page) == "1"
    page.press("Delete")
    page.wait(f"{ANSWERED} && {GUESS} === ''")


def test_a_drawing_of_the_gallery_can_be_chosen_with_the_keyboard(page: Browser) -> None:
    page.press(*["Tab"] * 6, " ")
    assert guess(page) == "2"


def test_the_guess_is_spoken_when_the_drawing_rests_and_not_before(page: Browser) -> None:
    spoken = "return document.getElementById('spoken').textContent"
    page.run(
        "const wait = setTimeout; setTimeout = (call, time) => time === 700 ? (window.rest = call) : wait(call, time)"
    )
    for digit in "48":
        page.press("Delete")
        draw(page, digit)
        assert guess(page) == digit
    assert page.run(spoken) == ""
    page.run("rest()")
    assert page.run(spoken).startswith("8, ")
    assert page.run("return document.getElementById('spoken').role") == "status"


CONTRAST = """
const light = (colour) => {
  const [red, green, blue] = colour.match(/[\\d.]+/g).slice(0, 3)
    .map((level) => level / 255).map((level) => (level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const ground = (element) => {
  const colour = getComputedStyle(element).backgroundColor;
  return colour === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : colour;
};
const texts = [...document.querySelectorAll("body *")].filter((element) =>
  [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()) &&
  element.tagName !== "SCRIPT" && element.tagName !== "NOSCRIPT");
return texts.map((element) => {
  const pair = [light(getComputedStyle(element).color), light(ground(element))];
  return [element.id || element.tagName, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)];
});
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_in_light_and_dark(page: Browser, scheme: str) -> None:
    page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        bring(page, "dropped", b"", "text/plain")
        page.wait(NOTICE)
        red, *_ = map(int, re.findall(r"\d+", page.run("return getComputedStyle(document.body).backgroundColor")))
        assert (red < 64) == (scheme == "dark")
        contrasts = page.run(CONTRAST)
        assert len(contrasts) > 20
        assert [(name, contrast) for name, contrast in contrasts if contrast < 4.5] == []  # WCAG 2.2, AA
        draw(page, "2")
        assert guess(page) == "2"
    finally:
        page.emulate("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_width_makes_the_page_scroll_sideways(page: Browser, width: int) -> None:
    page.emulate("Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=True)
    try:
        draw(page, "5")
        assert guess(page) == "5"
        page.run("document.querySelector('#gallery [title=scribble]').click()")
        page.wait(ANSWERED)
        assert page.run("return [document.documentElement.scrollWidth, innerWidth]") == [width, width]
    finally:
        page.emulate("Emulation.clearDeviceMetricsOverride")


def test_nothing_moves_for_those_who_want_it_still(page: Browser) -> None:
    moves = "return getComputedStyle(document.querySelector('.bar')).transitionDuration"
    assert page.run(moves) != "0s"
    page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    try:
        assert page.run(moves) == "0s"
    finally:
        page.emulate("Emulation.setEmulatedMedia", features=[])


# --- the service and the page ---------------------------------------------------------------------------


def test_the_classes_and_the_accuracy_are_those_of_the_service(browser: Browser, server: Server) -> None:
    model = {"labels": ["shirt", "bag", "ankle boot"], "accuracy": 0.5, "dataset": "Clothes"}
    model["preprocessing"] = {"size": [28, 28], "channels": "grey"}
    prediction: dict[str, Any] = {"label": "ankle boot", "probability": 0.75, "probabilities": [0, 0.25, 0.75]}
    prediction |= {"abstained": False, "seen": [0] * 784}
    stub = f"const replies = {json.dumps({'model': model, 'predict?seen=true': {'predictions': [prediction]}})};"
    stub += "window.fetch = async (call) => new Response(JSON.stringify(replies[call]));"
    script = browser.emulate("Page.addScriptToEvaluateOnNewDocument", source=stub)
    try:
        show(browser, server)
        assert "50%" in browser.run("return document.getElementById('about').textContent")
        draw(browser, "1")
        assert guess(browser) == "ankle boot"
        assert (
            browser.run("return document.getElementById('bars').tBodies[0].innerText")
            .split("\n")[0]
            .startswith("shirt")
        )
        assert browser.run("return document.querySelectorAll('.bar').length") == 3
    finally:
        browser.emulate("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_the_picture_that_the_model_saw_has_the_model_s_size_and_colours(browser: Browser, tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (50, 60), (230, 10, 30)).save(content, "PNG")
    with running_server("--model", str(write_colour_model(tmp_path / "model.onnx"))) as colours:
        show(browser, colours)
        assert browser.run("return [document.title, document.getElementById('gallery').hidden]") == [
            "Show a picture",
            True,
        ]
        bring(browser, "dropped", content.getvalue())
        browser.wait(f"{GUESS} === 'red'")
        assert browser.run("return [...document.querySelectorAll('#bars th')].map((cell) => cell.textContent)") == [
            *COLOURS
        ]
        seen = browser.run(
            "const seen = document.getElementById('seen');"
            "return [seen.width, seen.height, ...seen.getContext('2d').getImageData(19, 23, 1, 1).data]"
        )
        assert seen == [20, 24, 230, 10, 30, 255]
        browser.press("Delete")
        draw(browser, "1")
        assert guess(browser)


def test_a_service_that_goes_away_is_told_and_asked_again_when_it_is_back(browser: Browser) -> None:
    with running_server() as first:
        show(browser, first)
    draw(browser, "6")
    browser.wait(f"{NOTICE} === arguments[0]", AWAY)
    with running_server("--port", str(first.port)):
        browser.wait(f"{NOTICE} === ''")
        assert guess(browser) == "6"


def test_a_busy_service_is_told_and_asked_again(browser: Browser) -> None:
    with running_server("--max-in-flight", "1") as busy:
        show(browser, busy)
        with busy.connect() as other:
            other.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
            eventually(
                lambda: b"mnist_requests_in_flight 1" in busy.call("GET", "/metrics").body, "a request under way"
            )
            draw(browser, "0")
            browser.wait(f"{NOTICE} === arguments[0]", BUSY)
        browser.wait(f"{NOTICE} === ''")
        assert guess(browser) == "0"


def test_the_page_works_where_the_application_is_mounted_under_a_path(browser: Browser, tmp_path: Path) -> None:
    with mounted("uvicorn", tmp_path) as server:
        show(browser, server, "/digits/")
        draw(browser, "3")
        assert guess(browser) == "3"
        links = browser.run("return [...document.querySelectorAll('#links a')].map((link) => link.href)")
        assert links == [f"{address(server)}/digits/{name}" for name in ("model", "docs")]
