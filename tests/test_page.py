"""The drawing page in a real browser: all that one can do on it; where there is none, a test says what is missing.

`test_page_service.py` has how it is put together, and what it does when the service is another, busy or gone.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import canonicalize
from mnist_serving.images import read_grey
from PIL import Image

from tests.drawing_page import ANSWERED, GUESS, NOTICE, PIXELS, SHOW, address, bring, draw, guess, picture_of, show
from tests.handwriting import WAYS
from tests.http_server import Server, running_server
from tests.web_driver import Browser

DIGITS = [(digit, seed) for digit in WAYS for seed in range(10)]


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


def requested(browser: Browser) -> list[str]:
    """Return the addresses that were asked for since the log was last read."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


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
    drawn = np.reshape(page.run(PIXELS, "paper"), (500, 500)).reshape(250, 2, 250, 2).mean((1, 3))
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


@pytest.mark.parametrize(("key", "modifiers", "undone"), [("Z", 2, True), ("z", 10, False)])  # 2 is Ctrl, 8 is Shift
def test_with_caps_lock_ctrl_z_undoes_too_and_with_shift_it_does_not(
    page: Browser, key: str, modifiers: int, *, undone: bool
) -> None:
    draw(page, "1")
    page.emulate("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers)
    assert page.run("return document.getElementById('paper').classList.contains('blank')") == undone


def test_a_click_draws_a_dot(page: Browser) -> None:
    page.click("#paper")
    assert guess(page)
    dark = np.reshape(page.run(PIXELS, "paper"), (500, 500)) < 128
    assert dark.sum() == pytest.approx(np.pi * (0.04 * 500) ** 2, rel=0.02)


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


def test_of_two_pictures_the_later_lies_on_top_even_if_it_is_read_sooner(page: Browser) -> None:
    page.run(
        "const read = createImageBitmap;"
        "createImageBitmap = (file) => {"
        "  createImageBitmap = read;"
        "  return new Promise((done) => (window.release = () => done(read(file))));"
        "}"
    )
    bring(page, "dropped", picture_of("5"))
    page.wait("Boolean(window.release)")
    bring(page, "dropped", picture_of("7"))
    page.run("return fetch('/').then((reply) => reply.text())")  # time enough for the second, were it read already
    page.run("release()")
    page.wait(f"{GUESS} === '7'")
    page.press("Control+z")
    page.wait(f"{GUESS} === '5'")


@pytest.mark.parametrize("way", SHOW)
def test_a_file_that_is_no_picture_is_told_in_a_sentence_and_changes_nothing(page: Browser, way: str) -> None:
    draw(page, "7")
    assert guess(page) == "7"
    bring(page, way, b"no picture", "text/plain")
    page.wait(f"{NOTICE} === 'This file is no picture that the browser can read.'")
    assert guess(page) == "7"
    assert page.run("return getComputedStyle(document.querySelector('.guess')).opacity") == "1"
    draw(page, "1")
    page.wait(f"{ANSWERED} && {NOTICE} === ''")


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


@pytest.mark.parametrize("key", ["Control+z", "Delete"])
def test_undo_and_clear_lift_the_pen_of_the_keyboard(page: Browser, key: str) -> None:
    page.press("Tab", " ", *["ArrowRight"] * 3, key)
    page.wait(f"{ANSWERED} && {GUESS} === ''")
    page.press(*["ArrowLeft"] * 3)  # draws nothing
    assert page.run("return document.getElementById('paper').classList.contains('blank')")
    page.press(" ", *["ArrowDown"] * 13, " ")
    assert guess(page) == "1"


def test_a_space_bar_that_is_held_down_moves_the_pen_once(page: Browser) -> None:
    page.press("Tab")
    for repeats in (False, True):
        page.emulate("Input.dispatchKeyEvent", type="keyDown", key=" ", text=" ", autoRepeat=repeats)
    page.emulate("Input.dispatchKeyEvent", type="keyUp", key=" ")
    page.press(*["ArrowDown"] * 13, " ")
    assert guess(page) == "1"


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
