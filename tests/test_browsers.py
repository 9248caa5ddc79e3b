"""The least that has to work in Chromium and in Firefox: the page to draw on, that of the HTTP API, the static site.

`test_page*.py`, `test_reference.py` and `test_web_site.py` have the rest, in Chromium.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import firefox
from tests.drawing_page import GUESS, NOTICE, address, bring, draw, guess, picture_of, show
from tests.firefox import missing, running_firefox
from tests.http_server import Server
from tests.reference_page import REPLY, choose, open_reference, send
from tests.static_site import KEPT, READY, Site, build_site, served
from tests.web_driver import AnyBrowser

PAGES = ["service", "static site"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(build_site(tmp_path_factory.mktemp("built")), tmp_path_factory.mktemp("root")) as site:
        yield site


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, any_browser: AnyBrowser) -> Iterator[AnyBrowser]:
    """The page to draw on, from the service and from the static site; afterwards: no script failed."""
    if request.param == "service":
        show(any_browser, request.getfixturevalue("server"))
    else:
        any_browser.open(request.getfixturevalue("site").address)
        any_browser.wait(READY)
    yield any_browser
    assert any_browser.errors() == []


@pytest.mark.parametrize("pointer", ["mouse", "touch"])
def test_a_drawn_digit_is_read(page: AnyBrowser, pointer: str) -> None:
    for digit in "247":
        page.press("Delete")
        draw(page, digit, pointer=pointer)
        assert guess(page) == digit


def test_a_digit_can_be_drawn_with_the_keyboard(page: AnyBrowser) -> None:
    page.press("Tab", " ", *["ArrowDown"] * 13, " ")
    assert guess(page) == "1"
    page.press("Control+z")
    page.wait(f"{GUESS} === ''")


@pytest.mark.parametrize("way", ["chosen", "dropped"])  # in Firefox a script cannot paste
def test_a_picture_is_read(page: AnyBrowser, way: str, tmp_path: Path) -> None:
    if way == "chosen":
        (tmp_path / "five.png").write_bytes(picture_of("5"))
        page.choose_file("#file", tmp_path / "five.png")
    else:
        bring(page, way, picture_of("5"))
    page.wait(f"{GUESS} === '5'")


def test_a_file_that_is_not_a_picture_gets_a_sentence(page: AnyBrowser) -> None:
    bring(page, "dropped", b"no picture", "text/plain")
    page.wait(f"{NOTICE} === 'The browser cannot read this file as a picture: take a PNG or a JPEG.'")


def test_the_gallery_shows_a_digit_and_what_is_not_one(page: AnyBrowser) -> None:
    page.click("[title=two]")
    assert guess(page) == "2"
    page.click("[title=scribble]")
    assert guess(page) == "not sure"


def test_a_firefox_that_hides_what_is_drawn_is_named_as_the_reason(server: Server) -> None:
    if reason := missing():
        pytest.skip(reason)
    with running_firefox("privacy.resistFingerprinting") as firefox:
        show(firefox, server)
        draw(firefox, "7")
        firefox.wait(f"{NOTICE}.startsWith('This browser does not let pages read what is drawn')")
        assert firefox.run(f"return {GUESS}") == ""


def test_an_example_of_the_api_is_sent(any_browser: AnyBrowser, server: Server) -> None:
    open_reference(any_browser, address(server))
    assert send(any_browser).startswith("200 OK, ")
    assert '"label": "7"' in any_browser.run(f"return {REPLY}")
    assert any_browser.errors() == []


def test_a_picture_can_be_sent_from_the_page_of_the_api(
    any_browser: AnyBrowser, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "five.png").write_bytes(picture_of("5"))
    open_reference(any_browser, address(server))
    choose(any_browser, "picture")
    any_browser.choose_file("[open] input[type=file]", tmp_path / "five.png")
    assert send(any_browser).startswith("200 OK, ")
    assert '"label": "5"' in any_browser.run(f"return {REPLY}")


def test_a_missing_firefox_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert firefox.missing() == "firefox is not installed: on Debian, apt-get install firefox-esr"


def test_the_static_site_loads_again_without_a_network(any_browser: AnyBrowser, site: Site, tmp_path: Path) -> None:
    with served(site.folder, tmp_path) as copy:
        any_browser.open(copy.address)
        any_browser.wait(KEPT)
    any_browser.open(copy.address)
    any_browser.wait(READY)
    draw(any_browser, "3")
    assert guess(any_browser) == "3"
