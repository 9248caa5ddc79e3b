"""The drawing page by keyboard, by screen reader, in light and dark, on any screen, and without motion."""

import re

import pytest

from tests.drawing_page import ANSWERED, GUESS, NOTICE, bring, draw, guess
from tests.web_driver import Browser


def test_tab_reaches_every_control_which_shows_its_focus_and_has_a_name(page: Browser) -> None:
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
        assert shown, f"the focus is not visible on {name}"
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


def test_the_guess_is_spoken_once_the_drawing_rests(page: Browser) -> None:
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
def test_text_has_enough_contrast_in_light_and_dark(page: Browser, scheme: str) -> None:
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


@pytest.mark.parametrize(("width", "height"), [(360, 640), (375, 667), (667, 375), (1280, 600)])
def test_on_a_low_screen_sheet_and_guess_are_visible_together(page: Browser, width: int, height: int) -> None:
    page.emulate("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
    try:
        draw(page, "5")
        assert guess(page) == "5"
        bottoms = "return ['paper', 'guess'].map(id => document.getElementById(id).getBoundingClientRect().bottom)"
        assert max(page.run(bottoms)) <= height
        assert page.run("return scrollY") == 0
    finally:
        page.emulate("Emulation.clearDeviceMetricsOverride")


def test_nothing_moves_for_users_who_prefer_less_motion(page: Browser) -> None:
    moves = "return getComputedStyle(document.querySelector('.bar')).transitionDuration"
    assert page.run(moves) != "0s"
    page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    try:
        assert page.run(moves) == "0s"
    finally:
        page.emulate("Emulation.setEmulatedMedia", features=[])
