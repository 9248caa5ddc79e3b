"""The drawing page in a real browser: everything that one can do on it; without a browser, a test says what is missing.

`test_page_for_everybody.py` has keyboards, eyes, ears and screens; `test_page_service.py` how it is put together, and
what it does when the service is another, busy or gone.
"""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import canonicalize
from mnist_serving.images import read_grey
from PIL import Image

from tests.drawing_page import (
    ANSWERED,
    GUESS,
    NOTICE,
    PIXELS,
    RESTING,
    SHOW,
    bring,
    click_drawing,
    draw,
    guess,
    picture_of,
    show,
)
from tests.handwriting import WAYS
from tests.http_server import running_server
from tests.web_driver import Browser

DIGITS = [(digit, seed) for digit in WAYS for seed in range(10)]


# --- drawing --------------------------------------------------------------------------------------------


def test_95_of_100_digits_drawn_with_the_mouse_are_read_correctly(page: Browser) -> None:
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


def test_while_one_draws_there_is_one_request_at_a_time_and_the_last_drawing_is_answered(page: Browser) -> None:
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
    assert asked > 1, "the page asked only after the pen was lifted"
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


def test_undo_takes_back_a_stroke_or_a_clearing_and_clear_removes_everything(page: Browser) -> None:
    ink = "return document.getElementById('paper').toDataURL()"
    draw(page, "1")
    one = page.run(ink)
    draw(page, "0")
    for undo, clear in (("#undo", "#clear"), *(("Control+z", key) for key in ("Escape", "Delete", "Backspace"))):
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


@pytest.mark.parametrize("seen", ["light ink", "a page"])
def test_what_lies_on_a_transparent_ground_is_read(page: Browser, seen: str) -> None:
    written = Image.open(io.BytesIO(picture_of("7"))).convert("RGBA")
    layer, content = Image.new("RGBA", (1000, 1000)), io.BytesIO()
    if seen == "a page":
        layer.paste(written, (100, 200))
    else:
        ink = written.convert("L").point(lambda level: 255 * (level < 128))
        layer.paste("white", (100, 200), ink)
    layer.save(content, "PNG")
    bring(page, "dropped", content.getvalue())
    page.wait(f"{GUESS} === '7'")


def test_the_later_of_two_pictures_is_on_top_even_if_it_is_read_sooner(page: Browser) -> None:
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
    page.run("return fetch('/').then((reply) => reply.text())")  # enough time for the second, if it were read already
    page.run("release()")
    page.wait(f"{GUESS} === '7'")
    page.press("Control+z")
    page.wait(f"{GUESS} === '5'")


@pytest.mark.parametrize("way", SHOW)
def test_a_file_that_is_not_a_picture_gets_a_sentence_and_changes_nothing(page: Browser, way: str) -> None:
    draw(page, "7")
    assert guess(page) == "7"
    bring(page, way, b"no picture", "text/plain")
    page.wait(f"{NOTICE} === 'The browser cannot read this file as a picture: take a PNG or a JPEG.'")
    assert guess(page) == "7"
    assert page.run("return getComputedStyle(document.querySelector('.guess')).opacity") == "1"
    draw(page, "1")
    page.wait(f"{ANSWERED} && {NOTICE} === ''")


def test_an_answer_that_comes_later_does_not_hide_why_a_file_was_refused(page: Browser) -> None:
    page.wait(RESTING)
    page.run(
        "window.honest = fetch; window.held = [];"
        "fetch = (...call) => new Promise((done) => held.push(() => done(honest(...call))));"
    )
    draw(page, "7")
    page.wait("held.length > 0")
    bring(page, "dropped", b"no picture", "text/plain")
    page.wait(f"{NOTICE} === 'The browser cannot read this file as a picture: take a PNG or a JPEG.'")
    page.run("fetch = honest; held.forEach((release) => release())")
    page.wait(f"{GUESS} === '7'")
    assert page.run(f"return {NOTICE}") == "The browser cannot read this file as a picture: take a PNG or a JPEG."


def test_the_page_shows_why_the_service_refuses_a_picture(page: Browser) -> None:
    content = io.BytesIO()
    Image.new("L", (300, 300), 255).save(content, "PNG")
    bring(page, "dropped", content.getvalue())
    page.wait(f"{NOTICE}.startsWith('No digit found in the picture')")
    assert guess(page) == ""


def test_a_picture_that_is_too_large_for_the_service_gets_a_sentence(browser: Browser) -> None:
    with running_server("--max-picture", "1000") as strict:
        show(browser, strict)
        draw(browser, "8")
        browser.wait(f"{NOTICE} === 'The body is larger than 1,000 bytes; --max-picture allows more.'")


# --- the gallery ----------------------------------------------------------------------------------------


def test_the_gallery_has_easy_drawings_hard_ones_and_some_that_are_not_digits(page: Browser) -> None:
    groups = page.run(
        "return Object.fromEntries([...document.querySelectorAll('.group')].map((group) =>"
        " [group.querySelector('h2').textContent,"
        "  [...group.querySelectorAll('button')].map((button) => [button.title, button.dataset.digit])]))"
    )
    read: dict[str, list[tuple[str, str]]] = {name: [] for name in groups}
    for name, drawings in groups.items():
        for title, digit in drawings:
            click_drawing(page, title)
            read[name].append((digit, guess(page)))
    assert all(digit == found for digit, found in read["Easy"])
    assert any(digit != found for digit, found in read["Hard"]), "every hard drawing is read correctly now"
    assert "not sure" in [found for _, found in read["Not digits"]]
    draw(page, "1")  # one can go on drawing
    page.press("Control+z", "Control+z")
    assert (read["Not digits"][-2][1]) == guess(page)
