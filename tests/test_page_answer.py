"""What the drawing page says: its own example, how sure the model is and why not, and a browser that hides drawings."""

import json
import re
from typing import Any

import pytest

from tests.drawing_page import (
    ANSWERED,
    GUESS,
    NOTICE,
    PIXELS,
    RESTING,
    bring,
    click_drawing,
    draw,
    draw_number,
    guess,
    picture_of,
    show,
)
from tests.http_server import Server
from tests.web_driver import Browser

COMMENT = "return document.getElementById('comment').textContent"
WHETHER = "return document.getElementById('whether').textContent"
MEANING = "return document.getElementById('meaning').textContent"
HAS_CLASS = "return document.getElementById('paper').classList.contains(arguments[0])"
PAINT = "return getComputedStyle(document.querySelector('.bar')).backgroundImage"
STILL = [{"name": "prefers-reduced-motion", "value": "reduce"}]


# --- the page's own example -----------------------------------------------------------------------------


def test_the_page_draws_a_digit_by_itself_and_still_invites(page: Browser) -> None:
    page.wait(f"{RESTING} && {GUESS} === '2'")
    assert page.run(HAS_CLASS, "example")
    assert page.run("return getComputedStyle(document.getElementById('invitation')).visibility") == "visible"


def test_the_example_grows_stroke_by_stroke_and_at_once_for_users_who_prefer_less_motion(
    browser: Browser, server: Server
) -> None:
    frames = "window.frames_asked = 0; const ask = requestAnimationFrame;"
    frames += "requestAnimationFrame = (call) => { window.frames_asked += 1; return ask(call); }"
    script = browser.emulate("Page.addScriptToEvaluateOnNewDocument", source=frames)
    asked = []
    try:
        for features in ([], STILL):
            browser.emulate("Emulation.setEmulatedMedia", features=features)
            show(browser, server)
            browser.wait(f"{RESTING} && {GUESS} === '2'")
            asked.append(browser.run("return window.frames_asked"))
    finally:
        browser.emulate("Emulation.setEmulatedMedia", features=[])
        browser.emulate("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    assert asked[0] > 1
    assert asked[1] == 0


@pytest.mark.parametrize("way", ["mouse", "space bar", "arrow key", "Delete", "Control+z", "file", "drawing"])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_the_example_goes_at_the_first_touch_and_does_not_come_back(page: Browser, way: str, when: str) -> None:
    if when == "later":
        page.wait(f"{RESTING} && {GUESS} === '2'")
    acts = {
        "mouse": lambda: draw(page, "7"),
        "space bar": lambda: page.press("Tab", " ", " "),
        "arrow key": lambda: page.press("Tab", "ArrowDown"),
        "Delete": lambda: page.press("Delete"),
        "Control+z": lambda: page.press("Control+z"),
        "file": lambda: bring(page, "dropped", picture_of("5")),
        "drawing": lambda: click_drawing(page, "eight"),
    }
    acts[way]()
    page.wait("!document.getElementById('paper').classList.contains('example')")
    wanted = {"mouse": "7", "file": "5", "drawing": "8"}.get(way)
    if wanted:
        page.wait(f"{ANSWERED} && {GUESS} === arguments[0]", wanted)
    for _ in range(2):
        page.press("Control+z")
    assert page.run(HAS_CLASS, "blank")
    page.wait(f"{ANSWERED} && {GUESS} === ''")


def test_the_example_is_not_read_out(browser: Browser, server: Server) -> None:
    hold = "const wait = setTimeout; setTimeout = (call, time, ...rest) =>"
    hold += " time === 700 ? (window.speak_now = call) : wait(call, time, ...rest)"
    script = browser.emulate("Page.addScriptToEvaluateOnNewDocument", source=hold)
    try:
        show(browser, server)
        browser.wait(f"{RESTING} && {GUESS} === '2'")
        browser.run("speak_now()")
        assert browser.run("return document.getElementById('spoken').textContent") == ""
    finally:
        browser.emulate("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


# --- how sure ---------------------------------------------------------------------------------------------


def answer_with(page: Browser, **changes: Any) -> None:  # noqa: ANN401 (of every type that a reply has)
    """Have the service answer every drawing with this."""
    prediction = {"label": "7", "probability": 0.6, "probabilities": [0, 0.4, 0, 0, 0, 0, 0, 0.6, 0, 0], "digit": 0.9}
    prediction |= {"abstained": False, "seen": [0] * 784} | changes
    reply = json.dumps({"predictions": [prediction]})
    page.run("window.fetch = async () => new Response(arguments[0])", reply)


def test_a_figure_that_is_not_a_digit_is_not_sure_and_says_why_and_how_probable_a_digit_is(page: Browser) -> None:
    click_drawing(page, "scribble")
    assert guess(page) == "not sure"
    assert page.run(COMMENT) == "Probably not a digit."
    share = page.run(WHETHER).removeprefix("A digit at all: ")
    assert float(share.rstrip("%")) < 50
    assert page.run(MEANING) == "What it would be, if it were one"


def test_two_candidates_are_both_named(page: Browser) -> None:
    answer_with(page, abstained=True, reason="1 or 7")
    draw(page, "7")
    assert guess(page) == "not sure"
    assert page.run(COMMENT) == "Perhaps 1 or 7."
    assert page.run(WHETHER) == "A digit at all: 90%"
    assert page.run(MEANING) == "Probability of each class, too close for an answer"


def test_the_bars_are_weaker_while_the_model_is_not_sure(page: Browser) -> None:
    draw(page, "3")
    assert guess(page) == "3"
    sure = page.run(PAINT)
    assert page.run(MEANING) == "Probability of each class"
    assert float(page.run(WHETHER).removeprefix("A digit at all: ").rstrip("%")) > 50
    click_drawing(page, "scribble")
    assert guess(page) == "not sure"
    assert page.run(PAINT) != sure
    assert "repeating" in page.run(PAINT)
    assert page.run("return getComputedStyle(document.querySelector('.best th')).fontWeight") == "400"
    page.press("Control+z")
    assert guess(page) == "3"
    assert page.run(PAINT) == sure


def test_figures_below_one_another_get_a_sentence(page: Browser) -> None:
    draw_number(page, "1", "1")
    page.wait(f"{NOTICE}.startsWith('There are ') && {NOTICE}.includes('figures in the picture')")
    assert guess(page) == ""


# --- numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["43", "17"])
def test_a_number_is_read(page: Browser, number: str) -> None:
    draw_number(page, number)
    assert guess(page) == number
    assert re.fullmatch(r"{} [\d.]+%, {} [\d.]+%".format(*number), page.run(COMMENT))
    assert page.run("return document.querySelectorAll('.box').length") == 2


def answer_with_number(page: Browser, **changes: Any) -> None:  # noqa: ANN401 (of every type that a reply has)
    """Have the service refuse every drawing, of 250x250 pixels, as a digit, and read it as 43."""
    digits = [
        {"label": label, "probability": share, "probabilities": [0.1] * 10, "digit": 0.9, "abstained": False}
        | {"seen": [level] * 784, "box": box}
        for label, share, level, box in (("4", 0.96, 10, [25, 50, 100, 200]), ("3", 0.99, 20, [125, 50, 225, 200]))
    ]
    number = {"number": "43", "probability": 0.95, "digits": digits, "abstained": False} | changes
    page.run(
        "const [number, refusal] = arguments; window.fetch = async (call) =>"
        " call.includes('number=true') ? new Response(number) : new Response(refusal, {status: 400})",
        json.dumps({"predictions": [number]}),
        json.dumps({"error": "there are 2 figures in the picture: send one digit at a time"}),
    )


def test_a_number_is_shown_with_the_probability_the_place_and_the_picture_of_each_digit(page: Browser) -> None:
    page.wait(RESTING)
    answer_with_number(page)
    draw(page, "7")
    assert guess(page) == "43"
    assert page.run(COMMENT) == "4 96%, 3 99%"
    assert page.run(MEANING) == "Probability of each digit"
    rows = page.run("return [...document.querySelectorAll('#bars tr')].map((row) => row.innerText.split(/\\s+/))")
    assert rows == [["4", "96%"], ["3", "99%"]]
    sheet, *boxes = page.run(
        "return ['#boxes', '.box:first-child', '.box:last-child'].map((each) => {"
        "  const { left, top, width, height } = document.querySelector(each).getBoundingClientRect();"
        "  return [left, top, width, height]; })"
    )
    shares = [[(left - sheet[0]) / sheet[2], (top - sheet[1]) / sheet[3]] for left, top, *_ in boxes]
    assert shares == [pytest.approx([0.1, 0.2], abs=0.01), pytest.approx([0.5, 0.2], abs=0.01)]
    sizes = [[width / sheet[2], height / sheet[3]] for *_, width, height in boxes]
    assert sizes == [pytest.approx([0.3, 0.6], abs=0.01), pytest.approx([0.4, 0.6], abs=0.01)]
    assert page.run(PIXELS, "seen") == 28 * (28 * [10] + 28 * [20])


def test_a_number_is_refused_as_a_whole_where_one_digit_is_not_sure(page: Browser) -> None:
    page.wait(RESTING)
    answer_with_number(page, abstained=True, reason="figure 1 of 2: 4 or 9")
    draw(page, "7")
    assert guess(page) == "not sure"
    assert page.run(COMMENT) == "Perhaps 43 (figure 1 of 2: 4 or 9)."


def test_after_a_number_a_digit_is_shown_like_any_other(page: Browser) -> None:
    page.wait(RESTING)
    page.run("window.honest = fetch")
    answer_with_number(page)
    draw(page, "7")
    assert guess(page) == "43"
    page.run("fetch = honest")
    page.press("Delete")
    draw(page, "7")
    assert guess(page) == "7"
    assert page.run("return document.querySelectorAll('#bars tr').length") == 10
    assert page.run("return document.querySelectorAll('.box').length") == 0
    assert page.run("return document.getElementById('seen').width") == 28


# --- a browser that hides drawings ------------------------------------------------------------------------

LIES = {
    "white": "data.fill(255)",
    "noise": "data.forEach((_, place) => (data[place] = (place * 7919) % 256))",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_browser_that_forbids_reading_a_drawing_is_named_as_the_reason(page: Browser, lie: str) -> None:
    page.wait(RESTING)
    page.run(
        "const kind = CanvasRenderingContext2D.prototype; window.honest = kind.getImageData;"
        "kind.getImageData = function (...place) {"
        f"  const image = honest.apply(this, place); const {{ data }} = image; {LIES[lie]}; return image; }}"
    )
    draw(page, "7")
    page.wait(f"{NOTICE}.startsWith('This browser does not let pages read what is drawn')")
    assert guess(page) == ""
    page.run("CanvasRenderingContext2D.prototype.getImageData = honest")  # it is allowed now
    page.press("Delete")
    draw(page, "7")
    page.wait(f"{ANSWERED} && {GUESS} === '7' && {NOTICE} === ''")


def test_a_little_noise_against_fingerprinting_does_no_harm(page: Browser) -> None:
    page.run(
        "const kind = CanvasRenderingContext2D.prototype; const honest = kind.getImageData;"
        "kind.getImageData = function (...place) {"
        "  const image = honest.apply(this, place);"
        "  image.data.forEach((level, at) => (image.data[at] = level ^ (at % 3)));"
        "  return image; }"
    )
    draw(page, "7")
    page.wait(f"{ANSWERED} && {GUESS} === '7' && {NOTICE} === ''")
