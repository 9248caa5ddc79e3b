"""axe-core finds nothing to object to in any page (https://github.com/dequelabs/axe-core)."""

from collections.abc import Iterator

import pytest

from benchmarks.environments import JAVASCRIPT
from benchmarks.launch import RuntimeMissingError, check_made
from tests.drawing_page import ANSWERED, NOTICE, address, draw, draw_number, guess, show
from tests.http_server import Server
from tests.reference_page import choose, open_reference, send
from tests.static_site import READY, Site, build_site, served
from tests.web_driver import Browser

LOOKS = {
    "light": {"prefers-color-scheme": "light"},
    "dark": {"prefers-color-scheme": "dark"},
    "forced colours": {"forced-colors": "active"},
    "forced dark colours": {"forced-colors": "active", "prefers-color-scheme": "dark"},
}
RUN = """
return axe.run().then(({ violations }) =>
  violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)));
"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The script."""
    try:
        check_made(JAVASCRIPT)
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    return (JAVASCRIPT.folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(build_site(tmp_path_factory.mktemp("built")), tmp_path_factory.mktemp("root")) as site:
        yield site


@pytest.fixture(params=LOOKS)
def look(request: pytest.FixtureRequest, browser: Browser) -> Iterator[None]:
    """How the reader wants pages to look."""
    features = [{"name": name, "value": value} for name, value in LOOKS[request.param].items()]
    still = {"name": "prefers-reduced-motion", "value": "reduce"}  # what is half faded in has too little contrast
    browser.emulate("Emulation.setEmulatedMedia", features=[*features, still])
    yield
    browser.emulate("Emulation.setEmulatedMedia", features=[])


def assert_no_violations(browser: Browser, axe: str) -> None:
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.wait("document.querySelectorAll('details > div:empty').length === 0")
    browser.run(axe)
    assert browser.run(RUN) == []


@pytest.mark.usefixtures("look")
def test_the_page_to_draw_on(browser: Browser, axe: str, server: Server) -> None:
    show(browser, server)
    draw(browser, "4")
    assert guess(browser) == "4"
    assert_no_violations(browser, axe)
    browser.click("[title=scribble]")
    assert guess(browser) == "not sure"
    assert_no_violations(browser, axe)
    draw_number(browser, "4", "3")
    browser.wait(NOTICE)
    assert_no_violations(browser, axe)
    browser.click("[title=two]")
    browser.wait(f"{NOTICE} === '' && {ANSWERED}")
    browser.click("#labels button")
    browser.wait("!document.getElementById('download').hidden && document.querySelector('pre').textContent")
    assert_no_violations(browser, axe)
    browser.click("#download")


@pytest.mark.usefixtures("look")
def test_the_page_of_the_api(browser: Browser, axe: str, server: Server) -> None:
    open_reference(browser, address(server))
    assert send(browser)
    choose(browser, "picture")
    assert_no_violations(browser, axe)


@pytest.mark.usefixtures("look")
def test_the_static_site(browser: Browser, axe: str, site: Site) -> None:
    browser.open(site.address)
    browser.wait(READY)
    draw(browser, "4")
    assert guess(browser) == "4"
    assert_no_violations(browser, axe)
