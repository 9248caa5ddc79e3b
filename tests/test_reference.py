"""The page of the HTTP API, `/docs`, in Chromium: every call of the OpenAPI document can be tried on it."""

import ast
import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mnist_serving import Classifier
from mnist_serving.http.limits import Limits
from mnist_serving.http.openapi import describe_api
from mnist_serving.http.service import Service

from tests.drawing_page import address, picture_of
from tests.http_server import Server
from tests.http_service import INFER, ask, ask_json
from tests.other_models import write_colour_model, write_grey_model
from tests.reference_page import CALL, REPLY, STATUS, choose, open_reference, programs, send
from tests.test_http_mount import mounted
from tests.web_driver import Browser

DESCRIBED: dict[str, Any] = describe_api(Classifier().contract, Limits(), version="1")
EXAMPLES = [  # the path, the media type and the name of each
    (path, kind, name)
    for path, methods in DESCRIBED["paths"].items()
    if "/versions/" not in path
    for kind, content in methods.get("post", {}).get("requestBody", {}).get("content", {}).items()
    for name in content.get("examples", {})
]


def test_every_call_that_takes_a_body_has_an_example() -> None:
    with_body = {path for path, methods in DESCRIBED["paths"].items() if "requestBody" in methods.get("post", {})}
    assert {path for path in with_body if "/versions/" not in path} == {path for path, _, _ in EXAMPLES}
    assert {kind for _, kind, _ in EXAMPLES} == {
        "application/json",
        "application/octet-stream",
        "image/png",
        "multipart/form-data",
    }


def test_every_call_is_on_the_page_and_can_be_sent(browser: Browser, server: Server) -> None:
    open_reference(browser, address(server))
    names = browser.run("return [...document.querySelectorAll('#calls h3')].map((name) => name.textContent)")
    wanted = [
        (method.upper(), path)
        for path, methods in DESCRIBED["paths"].items()
        for method in methods.keys() - {"parameters"}
    ]
    assert names == ["".join(pair) for pair in wanted]
    for _, path in wanted:
        open_reference(browser, address(server), path)
        assert send(browser).startswith("200 OK, "), path
        assert browser.run(f"return {REPLY}")


@pytest.mark.parametrize(("path", "kind", "name"), EXAMPLES)
def test_an_example_is_answered_on_the_page_by_curl_and_by_requests(  # noqa: PLR0913, PLR0917 (an example has three parts)
    path: str, kind: str, name: str, browser: Browser, server: Server, tmp_path: Path
) -> None:
    open_reference(browser, address(server), path)
    choose(browser, name)
    assert send(browser).startswith("200 OK, ")
    shown = browser.run(f"return {REPLY}")
    assert ('"label": "7"' in shown) == (name not in {"tensor", "raw"})
    write_files(DESCRIBED["components"]["examples"][name], tmp_path)
    curl, python = programs(browser)
    assert kind == "multipart/form-data" or kind in curl
    by_curl = subprocess.run(["sh", "-c", f"{curl} -sS --fail"], cwd=tmp_path, capture_output=True, check=True).stdout
    by_requests = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, check=True).stdout
    if name == "raw":
        assert shown == "(application/octet-stream)"
        assert by_requests.startswith(b"b'{")
        assert b'"logits"' in (tmp_path / "reply").read_bytes()
    else:
        assert without_id(json.loads(by_curl)) == without_id(json.loads(shown))
        assert without_id(ast.literal_eval(by_requests.decode())) == without_id(json.loads(shown))


def without_id(reply: dict[str, Any]) -> dict[str, Any]:
    """Return a reply without what each request has of its own."""
    return {key: value for key, value in reply.items() if key != "id"}


def write_files(example: dict[str, str], folder: Path) -> None:
    """Write the file of an example, under the name by which the programs of the page call it."""
    if found := re.fullmatch(r"data:(.*);base64,(.*)", example.get("externalValue", "")):
        name = "digit.png" if found[1] == "image/png" else "digit.gray"
        (folder / name).write_bytes(base64.b64decode(found[2]))


def test_parameters_and_changes_get_into_the_request(browser: Browser, server: Server, tmp_path: Path) -> None:
    open_reference(browser, address(server))
    browser.run(
        f"const [seen, , body] = {CALL}.querySelectorAll('select:not([name]), textarea');"
        "seen.value = 'true'; body.value = JSON.stringify({ image: Array(784).fill(0) });"
        "body.dispatchEvent(new Event('input', { bubbles: true }))"
    )
    curl, python = programs(browser)
    assert f"curl '{address(server)}/predict?seen=true'" in curl
    assert '/predict?seen=true", json={"image": [0, 0,' in python
    send(browser)
    assert json.loads(browser.run(f"return {REPLY}"))["predictions"][0]["seen"] == [0] * 784
    (tmp_path / "it's a five.png").write_bytes(picture_of("5"))
    choose(browser, "form")
    browser.choose_file("#calls [open] input[type=file]", tmp_path / "it's a five.png")
    assert r"-F 'file=@it'\''s a five.png'" in programs(browser)[0]


def test_a_refusal_is_shown_as_it_is(browser: Browser, server: Server) -> None:
    open_reference(browser, address(server))
    browser.run(f"{CALL}.querySelector('textarea').value = '{{'")
    assert send(browser).startswith("400 Bad Request, ")
    assert browser.run(f"return {CALL}.querySelector('form + p').className") == "failed"
    assert json.loads(browser.run(f"return {REPLY}")).keys() == {"error"}


def test_texts_have_no_backticks_and_what_scrolls_is_reached_with_the_keyboard(
    browser: Browser, server: Server
) -> None:
    open_reference(browser, address(server))
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
    browser.wait("document.querySelectorAll('details > div:empty').length === 0")
    assert (
        browser.run("return [...document.querySelectorAll('p, td, small')].filter((e) => /`/.test(e.innerText)).length")
        == 0
    )
    assert browser.run(
        "return [...document.querySelectorAll('pre')].every((area) => area.tabIndex === 0 && area.ariaLabel)"
    )


@pytest.mark.parametrize("width", [320, 1100])
def test_no_width_makes_it_scroll_sideways(browser: Browser, server: Server, width: int) -> None:
    browser.emulate("Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=True)
    try:
        open_reference(browser, address(server))
        send(browser)
        assert browser.run("return [document.documentElement.scrollWidth, innerWidth]") == [width, width]
    finally:
        browser.emulate("Emulation.clearDeviceMetricsOverride")


def test_without_the_service_it_says_so(browser: Browser, server: Server) -> None:
    open_reference(browser, address(server))
    browser.run("window.fetch = () => Promise.reject(new TypeError('gone'))")
    browser.click("#calls [open] .send")
    browser.wait(f"{STATUS}.startsWith('The service cannot be reached')")


def test_it_works_where_the_application_is_mounted_under_a_path(browser: Browser, tmp_path: Path) -> None:
    with mounted("uvicorn", tmp_path) as server:
        open_reference(browser, f"{address(server)}/my%20digits")
        assert send(browser).startswith("200")
        assert f"'{address(server)}/my%20digits/predict'" in programs(browser)[0]


def test_the_document_says_which_pixels_are_ink_wherever_pixels_are_sent() -> None:
    for path in ("/predict", "/v1/models/{model}:predict", "/v2/models/{model}/infer"):
        assert "white ink (255) on black (0)" in DESCRIBED["paths"][path]["post"]["description"]
    assert "255 is ink" in DESCRIBED["components"]["schemas"]["Pixel"]["description"]


@pytest.mark.parametrize("write_model", [write_colour_model, write_grey_model])
def test_examples_fit_models_of_other_pictures(write_model: Callable[[Path], Path], tmp_path: Path) -> None:
    service = Service()
    service.open(Classifier(write_model(tmp_path / "model.onnx")))
    examples = json.loads(ask(service, "/openapi.json").body)["components"]["examples"]
    for name, path in (("pixels", "/predict"), ("several", "/predict"), ("tensor", INFER)):
        assert ask_json(service, path, examples[name]["value"]).status == 200, name
    for name, path in (("picture", "/predict"), ("raw", INFER)):
        kind, content = examples[name]["externalValue"].removeprefix("data:").split(";base64,")
        headers = {b"content-type": kind.encode(), b"inference-header-content-length": b"0"}
        assert ask(service, path, base64.b64decode(content), headers).status == 200, name


def test_before_the_model_is_loaded_the_page_is_there_and_says_why_it_is_empty(
    browser: Browser, server: Server
) -> None:
    unready = Service()
    assert ask(unready, "/docs").status == 200
    assert ask(unready, "/openapi.json").status == 503
    reply = f"new Response({json.dumps(ask(unready, '/openapi.json').body.decode())}, {{ status: 503 }})"
    stub = f"window.fetch = async () => {reply}"
    script = browser.emulate("Page.addScriptToEvaluateOnNewDocument", source=stub)
    try:
        browser.open(f"{address(server)}/docs")
        browser.wait("document.getElementById('about').textContent.includes('the model is not loaded yet')")
    finally:
        browser.emulate("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
