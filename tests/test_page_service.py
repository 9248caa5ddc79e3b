"""The drawing page and the service: how it is put together, what its policy allows, how it copes with trouble."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mnist_serving.http.pages import SCRIPTS, STATIC, drawing_page
from PIL import Image

from benchmarks.browser import find_browser, post_from
from benchmarks.screenshot import take
from tests.conftest import ROOT
from tests.drawing_page import ANSWERED, GUESS, NOTICE, RESTING, address, bring, draw, guess, show
from tests.http_server import Server, eventually, running_server
from tests.other_models import COLOURS, write_colour_model
from tests.test_http_mount import mounted
from tests.web_driver import Browser, missing

AWAY = "The service cannot be reached. The page keeps trying."
BUSY = "The service is busy. The page keeps trying."
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


# --- the page as it is put together ---------------------------------------------------------------------


def test_the_page_is_one_document_made_of_all_its_sources() -> None:
    html = drawing_page().content.decode()
    assert {path.name for path in STATIC.iterdir() if path.name.endswith(".js")} == set(SCRIPTS)
    assert not re.search(r"^(import \{|export )", html, flags=re.MULTILINE)
    assert not re.findall(r"\s(?:src|on\w+|style)=\"", html)
    assert html.count("<script") == html.count("<style") == 1
    assert len(html) < 50 * 1024


def test_a_source_imports_only_those_before_it() -> None:
    for place, name in enumerate(SCRIPTS):
        imported = re.findall(r'^import .* from "\./(.*)";$', (STATIC / name).read_text(), flags=re.MULTILINE)
        assert set(imported) <= set(SCRIPTS[:place])


def test_the_sources_work_unchanged_with_another_guesser() -> None:
    if (browser := find_browser()) is None:
        pytest.skip("chromium is not installed")
    files = {path.name: path.read_bytes() for path in STATIC.iterdir()} | {"service.js": GUESSER}
    assert post_from("index.html", files, browser=browser) == b"250 made up"


def test_the_policy_allows_the_inlined_parts_and_nothing_else(server: Server) -> None:
    for path in ("/", "/docs"):
        policy = server.call("GET", path).headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        hashed = {name: rules.pop(name) for name in ("script-src", "style-src") if name in rules}
        assert hashed.keys() == {"script-src", "style-src"}
        assert all(re.fullmatch(r"'sha256-[\w+/]+='", source) for source in hashed.values())
        assert (rules.pop("connect-src"), rules.pop("img-src")) == ("'self'", "data:")
        assert rules.keys() == {"default-src", "base-uri", "form-action", "frame-ancestors"}
        assert set(rules.values()) == {"'none'"}


def test_the_policy_blocks_injected_code_and_other_hosts(browser: Browser, server: Server) -> None:
    show(browser, server)
    browser.run("document.head.append(Object.assign(document.createElement('script'), {text: 'window.injected = 1'}))")
    browser.run("document.body.setAttribute('style', 'color: red')")
    assert browser.run("return fetch('http://127.0.0.2:9/').then(() => 'asked', (error) => error.name)") == "TypeError"
    assert browser.run("return [window.injected ?? 'blocked', document.body.style.length]") == ["blocked", 0]
    assert len([entry for entry in browser.log("browser") if "Content Security Policy" in entry["message"]]) >= 3


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert missing() == "chromium is not installed: on Debian, apt-get install chromium"


# --- the service and the page ---------------------------------------------------------------------------


def test_the_page_shows_the_classes_and_the_accuracy_of_the_service(browser: Browser, server: Server) -> None:
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
        assert "like those" in browser.run("return document.getElementById('invitation').textContent")
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


def test_the_page_says_that_the_service_is_gone_and_asks_again_when_it_is_back(browser: Browser) -> None:
    with running_server() as first:
        show(browser, first)
    draw(browser, "6")
    browser.wait(f"{NOTICE} === arguments[0]", AWAY)
    with running_server("--port", str(first.port)):
        browser.wait(f"{NOTICE} === ''")
        assert guess(browser) == "6"


def test_while_the_service_is_gone_a_stroke_asks_at_once_and_nothing_denies_the_drawing(browser: Browser) -> None:
    comment = "return document.getElementById('comment').textContent"
    with running_server() as first:
        show(browser, first)
        browser.wait(RESTING)
        browser.press("Delete")
        browser.wait(f"{ANSWERED} && {GUESS} === ''")
        assert browser.run(comment) == "Nothing is drawn yet."
    browser.run(
        "const wait = setTimeout; setTimeout = (call, time, ...rest) => time >= 500 || wait(call, time, ...rest)"
    )
    draw(browser, "1")
    browser.wait(f"{NOTICE} === arguments[0]", AWAY)
    assert browser.run(comment) == ""
    with running_server("--port", str(first.port)):
        assert browser.run(f"return {NOTICE}") == AWAY  # its own pause never ends
        browser.press("Delete")
        draw(browser, "7")
        assert guess(browser) == "7"
        assert browser.run(f"return {NOTICE}") == ""


def test_the_page_says_that_the_service_is_busy_and_asks_again(browser: Browser) -> None:
    with running_server("--max-in-flight", "1") as busy:
        show(browser, busy)
        browser.wait(RESTING)
        with busy.connect() as other:
            other.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
            eventually(
                lambda: b"mnist_requests_in_flight 1" in busy.call("GET", "/metrics").body, "a request in flight"
            )
            draw(browser, "0")
            browser.wait(f"{NOTICE} === arguments[0]", BUSY)
        browser.wait(f"{NOTICE} === ''")
        assert guess(browser) == "0"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, "This is not the service's answer (status 200): loading the page again may help."),
        (401, "This is not the service's answer (status 401): loading the page again may help."),
        (429, BUSY),
    ],
)
def test_a_proxy_that_answers_for_the_service_is_told_from_it(page: Browser, status: int, told: str) -> None:
    page.wait(RESTING)
    page.run("const [status] = arguments; fetch = async () => new Response('<h1>Log in</h1>', {status})", status)
    draw(page, "7")
    page.wait(f"{NOTICE} === arguments[0]", told)


def test_the_page_works_where_the_application_is_mounted_under_a_path(browser: Browser, tmp_path: Path) -> None:
    with mounted("uvicorn", tmp_path) as server:
        show(browser, server, "/my%20digits/")
        draw(browser, "3")
        assert guess(browser) == "3"
        links = browser.run("return [...document.querySelectorAll('#links a')].map((link) => link.href)")
        assert links == [f"{address(server)}/my%20digits/{name}" for name in ("model", "docs")]


@pytest.mark.usefixtures("browser")  # where there is none, this is skipped
def test_the_picture_in_the_readme_shows_the_page_as_it_is(tmp_path: Path) -> None:
    assert take(tmp_path / "page.png") == "7"
    with Image.open(tmp_path / "page.png") as now, Image.open(ROOT / "docs/page.png") as kept:
        assert now.size == kept.size
        levels = [np.asarray(picture.convert("L"), np.int64) for picture in (now, kept)]
    differ = (np.abs(levels[0] - levels[1]) > 32).mean()
    assert differ < 0.05, "run `python -m benchmarks.screenshot`"
