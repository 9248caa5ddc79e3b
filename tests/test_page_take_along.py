"""What one can take along from the drawing page: programs with the drawing, and pictures with their right labels."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from mnist_serving.classifier import PACKAGED_MODEL
from PIL import Image

from stages.datasets.folder import Folder
from tests.drawing_page import (
    ANSWERED,
    GUESS,
    PIXELS,
    RESTING,
    address,
    bring,
    click_drawing,
    draw,
    draw_number,
    guess,
    picture_of,
    show,
)
from tests.http_server import eventually
from tests.test_http_mount import mounted
from tests.web_driver import Browser

PROGRAMS = ["curl", "Python", "Python with onnxruntime"]


def open_programs(page: Browser) -> None:
    page.wait(RESTING)
    page.click("#programs summary")
    page.wait("document.querySelector('#texts pre').textContent")


def copied(page: Browser, name: str) -> str:
    """Click a program's button; return what is on the clipboard then."""
    page.emulate("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    page.run("document.getElementById('copied').textContent = ''")
    page.click(f"#texts button[aria-label='Copy: {name}']")
    page.wait("document.getElementById('copied').textContent === 'Copied.'")
    return str(page.run("return navigator.clipboard.readText()"))


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout


def shown_probability(page: Browser) -> float:
    return float(str(page.run("return document.getElementById('comment').textContent")).rstrip("%")) / 100


# --- programs -------------------------------------------------------------------------------------------


def test_the_curl_line_gets_the_answer_that_the_page_shows(page: Browser, tmp_path: Path) -> None:
    draw(page, "7")
    assert guess(page) == "7"
    open_programs(page)
    (prediction,) = json.loads(run(["sh", "-c", copied(page, "curl")], tmp_path))["predictions"]
    assert prediction["label"] == "7"
    assert prediction["probability"] == pytest.approx(shown_probability(page), abs=0.0006)


@pytest.mark.parametrize("name", PROGRAMS[1:])
def test_the_python_programs_get_the_answer_that_the_page_shows(page: Browser, tmp_path: Path, name: str) -> None:
    shutil.copy(PACKAGED_MODEL, tmp_path / "model.onnx")
    draw(page, "4", seed=3)
    assert guess(page) == "4"
    open_programs(page)
    output = run([sys.executable, "-W", "error", "-c", copied(page, name)], tmp_path)
    probability = shown_probability(page)
    if name == "Python":
        (prediction,) = json.loads(output.replace("'", '"').replace("False", "false"))
        label, found = prediction["label"], prediction["probability"]
    else:
        label, found, _ = output.split()
    assert label == "4"
    assert float(found) == pytest.approx(probability, abs=0.0006)


@pytest.mark.parametrize("name", PROGRAMS[:2])
def test_the_programs_for_a_number_read_it(page: Browser, tmp_path: Path, name: str) -> None:
    draw_number(page, "43")
    assert guess(page) == "43"
    open_programs(page)
    assert not page.run("return document.getElementById('texts').innerText.includes('onnxruntime')")
    text = copied(page, name)
    output = run(["sh", "-c", text] if name == "curl" else [sys.executable, "-c", text], tmp_path)
    assert re.search(r"""["']number["']: ?["']43["']""", output)


def test_the_programs_follow_the_drawing_and_hide_without_one(page: Browser) -> None:
    draw(page, "7")
    assert guess(page) == "7"
    open_programs(page)
    first = page.run("return document.querySelector('#texts pre').textContent")
    draw(page, "1")
    page.wait("document.querySelector('#texts pre').textContent !== arguments[0]", first)
    page.press("Delete")
    page.wait(f"{ANSWERED} && {GUESS} === ''")
    assert page.run("return document.getElementById('programs').hidden")


def test_a_program_can_be_copied_where_pages_may_not_use_the_clipboard(page: Browser) -> None:
    open_programs(page)
    page.run("window.kept = navigator.clipboard; Object.defineProperty(navigator, 'clipboard', {configurable: true})")
    page.emulate("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    page.click("#texts button[aria-label='Copy: curl']")
    page.wait("document.getElementById('copied').textContent === 'Copied.'")
    shown = page.run("return document.querySelector('#texts pre').textContent")
    assert str(page.run("return kept.readText()")).strip() == shown.strip()


def test_a_picture_too_long_for_a_command_is_sent_as_the_model_saw_it(page: Browser, tmp_path: Path) -> None:
    draw(page, "7")
    page.run(  # noise that a PNG cannot shorten, as in a photo
        "HTMLCanvasElement.prototype.toDataURL = ((whole) => function () {"
        "  return this.width > 28 ? 'data:image/png;base64,' + 'A'.repeat(200000) : whole.call(this); })"
        "(HTMLCanvasElement.prototype.toDataURL)"
    )
    assert guess(page) == "7"
    open_programs(page)
    text = copied(page, "curl")
    assert len(text) < 4_000
    (prediction,) = json.loads(run(["sh", "-c", text], tmp_path))["predictions"]
    assert prediction["label"] == "7"
    assert prediction["probability"] == pytest.approx(shown_probability(page), abs=0.0006)
    page.click("#clear")  # the programs stay open
    draw(page, "3")
    page.wait(f"{RESTING} && {GUESS} === '3'")
    (prediction,) = json.loads(run(["sh", "-c", copied(page, "curl")], tmp_path))["predictions"]
    assert prediction["label"] == "3"


def test_a_picture_of_any_size_is_sent_without_the_sheet_around_it(page: Browser) -> None:
    content = io.BytesIO()
    Image.open(io.BytesIO(picture_of("5"))).convert("1").resize((1290, 241)).save(content, "PNG")
    bring(page, "dropped", content.getvalue())
    page.wait(ANSWERED)
    open_programs(page)
    (encoded,) = re.findall('base64,([^"]+)', copied(page, "curl"))
    sent = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA")
    assert sent.size == (500, 94)
    assert sent.getchannel("A").getextrema() == (255, 255)


def test_the_programs_name_the_path_that_the_service_is_mounted_at(browser: Browser, tmp_path: Path) -> None:
    with mounted("uvicorn", tmp_path) as server:
        show(browser, server, "/my%20digits/")
        open_programs(browser)
        text = copied(browser, "curl")
        assert f"{address(server)}/my%20digits/predict" in text
        (prediction,) = json.loads(run(["sh", "-c", text], tmp_path))["predictions"]
        assert prediction["label"] == "2"


# --- pictures with their right labels -------------------------------------------------------------------


def keep(page: Browser, label: str) -> None:
    page.run("document.querySelector('.answer details').open = true")
    page.click(f"#labels button:nth-child({int(label) + 1})")
    page.wait("document.getElementById('kept').textContent === arguments[0]", f"Kept as {label}.")


def download(page: Browser, folder: Path, count: int) -> Path:
    """Download the kept pictures; return the archive."""
    page.emulate("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    words = "1 picture" if count == 1 else f"{count} pictures"
    page.wait("document.getElementById('download').textContent === arguments[0]", f"Download {words}")
    page.click("#download")
    archive = folder / "pictures.tar"
    eventually(lambda: archive.is_file() and archive.stat().st_size, "the download")  # it begins empty
    return archive


def test_pictures_kept_with_their_labels_are_a_data_set(page: Browser, tmp_path: Path) -> None:
    seen: list[tuple[str, list[int]]] = []
    for digit in "1771":
        page.press("Delete")
        draw(page, digit, seed=len(seen))
        page.wait(f"{ANSWERED} && {GUESS} !== ''")
        seen.append((digit, page.run(PIXELS, "seen")))
        keep(page, digit)
    subprocess.run(["tar", "-xf", download(page, tmp_path, 4)], cwd=tmp_path, check=True)
    dataset = Folder(path=str(tmp_path / "pictures"), size=None, channels="auto", test=0.5, seed=0).load()
    assert dataset.info.labels == ("1", "7")
    assert dataset.info.shape == (1, 28, 28)
    assert dataset.info.centred, "the service would not canonicalize for a model of them"
    found = [
        (dataset.info.labels[label], image.ravel().tolist())
        for split in (dataset.train, dataset.test)
        for image, label in zip(split.images.numpy(), split.labels.tolist(), strict=True)
    ]
    assert sorted(found) == sorted(seen)


def test_a_second_label_for_the_same_picture_replaces_the_first(page: Browser, tmp_path: Path) -> None:
    draw(page, "7")
    assert guess(page) == "7"
    keep(page, "4")
    keep(page, "9")
    with tarfile.open(download(page, tmp_path, 1)) as archive:
        about, name = archive.getnames()
    assert about == "pictures/dataset.json"
    assert name.startswith("pictures/9/")


def test_labels_are_folders_of_their_own(page: Browser, tmp_path: Path) -> None:
    labels = ["+", "÷", "*", "/", ".", "don't", "六", "a b", "x_1", "Ü" * 60]  # 120 bytes, more than a name may have
    page.wait(RESTING)
    page.run(
        "const [honest, labels] = [fetch, arguments[0]]; let away = true;"
        "fetch = async (call, options) => {"
        "  if (call !== 'model') return away ? new Response('', {status: 503}) : honest(call, options);"
        "  away = false;"
        "  return Response.json({...await (await honest(call)).json(), labels});"
        "}",
        labels,
    )
    for place, label in enumerate(labels):
        page.press("Delete")
        page.wait(f"{ANSWERED} && {GUESS} === ''")
        draw(page, "7", seed=place)
        page.wait(f"{ANSWERED} && {GUESS} !== '' && document.querySelector('#labels button').textContent === '+'")
        page.run("document.querySelector('.answer details').open = true")
        page.click(f"#labels button:nth-child({place + 1})")
        page.wait("document.getElementById('kept').textContent === arguments[0]", f"Kept as {label}.")
    with tarfile.open(download(page, tmp_path, len(labels))) as archive:
        folders = [name.split("/")[1] for name in archive.getnames()[1:]]
    assert folders == ["+", "÷", "%2a", "%2f", "%2e", "don't", "六", "a b", "x_1", "Ü" * 60]


def test_only_a_picture_with_an_answer_can_be_kept(page: Browser) -> None:
    disabled = "return document.getElementById('right').disabled"
    click_drawing(page, "star")  # whatever the model says
    page.wait(ANSWERED)
    assert not page.run(disabled)
    page.press("Delete")
    page.wait(f"{ANSWERED} && {GUESS} === ''")
    assert page.run(disabled)


def test_keeping_a_picture_sends_nothing(page: Browser, tmp_path: Path) -> None:
    draw(page, "7")
    assert guess(page) == "7"
    page.log("performance")
    keep(page, "1")
    download(page, tmp_path, 1)
    sent = [json.loads(entry["message"])["message"] for entry in page.log("performance")]
    urls = [each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith("blob:")] == []


def test_the_browser_asks_before_pictures_that_are_not_downloaded_are_lost(page: Browser, tmp_path: Path) -> None:
    asks = "return !dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    draw(page, "7")
    assert guess(page) == "7"
    assert not page.run(asks)
    keep(page, "1")
    assert page.run(asks)
    download(page, tmp_path, 1)
    assert not page.run(asks)
