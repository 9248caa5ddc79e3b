"""The model gives the same answers in every runtime; where one is not here, the test says what is missing."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks import environments, runtimes
from benchmarks.browser import BrowserError, post_from
from benchmarks.launch import RUNTIMES, Program, RuntimeFailedError, RuntimeMissingError, find_chromium
from benchmarks.runtimes import BATCH_SIZES, MODEL, Answers, Pixels, Scores, ask, compare, draw_images, work_out
from stages.config import read_sections
from tests.conftest import ROOT

ALWAYS_HERE = ("onnxruntime, the pinned one", "ONNX's reference evaluator")
IMAGES = draw_images(200)
TOLERANCE = read_sections((ROOT / "params.yaml").read_text(encoding="utf-8"))["export"]["tolerance"]


@pytest.fixture(scope="module")
def reference() -> tuple[Scores, Scores]:
    return work_out(MODEL, IMAGES)


@pytest.mark.parametrize("name", RUNTIMES)
def test_every_runtime_gives_the_same_answers_in_every_batch_size(name: str, reference: tuple[Scores, Scores]) -> None:
    try:
        answers = ask(RUNTIMES[name], MODEL, IMAGES)
    except RuntimeMissingError as error:
        assert name not in ALWAYS_HERE
        pytest.skip(str(error))
    assert tuple(answers.outputs) == BATCH_SIZES
    verdict = compare(answers, *reference)
    assert verdict.within(TOLERANCE), verdict


@pytest.mark.parametrize(("other", "code"), [("gone", 0), ("broken", 1), ("shifted", 1)])
def test_the_table_has_a_row_for_each_runtime_and_the_exit_code_tells_of_a_difference(
    other: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def gone(*_: object) -> bytes:
        raise RuntimeMissingError("it is not installed here")

    def broken(*_: object) -> bytes:
        raise RuntimeFailedError("it broke")

    def shifted(model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
        version, _, numbers = RUNTIMES["onnxruntime, the pinned one"](model, pixels, sizes).partition(b"\n")
        return version + b"\n" + (np.frombuffer(numbers, "<f4") + np.float32(0.01)).tobytes()

    programs: dict[str, Program] = {"gone": gone, "broken": broken, "shifted": shifted}
    newest = "onnxruntime, the pinned one"
    monkeypatch.setattr(runtimes, "RUNTIMES", {newest: RUNTIMES[newest], other: programs[other]})
    monkeypatch.setattr(runtimes, "IMAGES", tmp_path / "there is none")
    monkeypatch.setattr(sys, "argv", ["runtimes"])
    with pytest.raises(SystemExit) as stopped:
        runtimes.main()
    assert stopped.value.code == code
    table = capsys.readouterr().out
    assert re.search(
        r"^\| onnxruntime, the pinned one \| [\d.]+ \| 1, 2, 7, 64 \| .*e-0\d \| 0 \|$", table, re.MULTILINE
    )
    assert (f"| {other} | not run: " in table) == (other != "shifted")
    assert len({row.count("|") for row in table.splitlines() if row.startswith("|")}) == 1
    assert "over 1,000 made-up images, each" in table


@pytest.mark.parametrize("name", ["onnxruntime-node", "onnxruntime-web", "OpenCV dnn, C++"])
def test_a_runtime_that_is_not_here_says_in_one_line_what_is_missing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeMissingError, match=r"\A\S+ is not installed\Z"):
        ask(RUNTIMES[name], MODEL, IMAGES)


def test_an_environment_that_is_not_made_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    with pytest.raises(RuntimeMissingError, match=r"opencv-5 is not made: run `python -m benchmarks\.environments`"):
        ask(RUNTIMES["OpenCV 5 dnn, Python"], MODEL, IMAGES)


def test_a_file_that_is_not_a_model_is_refused_in_the_runtimes_own_words(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(MODEL.read_bytes()[:1000])
    with pytest.raises(RuntimeFailedError, match=r"INVALID_PROTOBUF"):
        ask(RUNTIMES["onnxruntime, the pinned one"], model, IMAGES)


def test_an_answer_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(RuntimeFailedError, match="4 bytes came"):
        ask(lambda model, pixels, sizes: b"1.0\n1234", MODEL, IMAGES)  # noqa: ARG005 (a program's arguments)


def test_the_reference_is_worked_out_in_64_bits(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["grey"], ["flat"]),
        helper.make_node("Constant", [], ["three"], value=helper.make_tensor("three", TensorProto.FLOAT, [], [3.0])),
        helper.make_node("Div", ["flat", "three"], ["logits"]),
        helper.make_node("Mul", ["logits", "half"], ["probabilities"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 1, 28, 28])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("logits", "probabilities")]
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.5])
    model = helper.make_model(
        helper.make_graph(nodes, "thirds", [image], outputs, [half]), opset_imports=[helper.make_opsetid("", 12)]
    )
    onnx.save(model, tmp_path / "thirds.onnx")
    logits, probabilities = work_out(tmp_path / "thirds.onnx", IMAGES)
    assert np.array_equal(logits, IMAGES.reshape(len(IMAGES), -1) / 3)
    assert np.array_equal(probabilities, logits / 2)


def test_one_differing_number_in_one_batch_size_is_seen(reference: tuple[Scores, Scores]) -> None:
    logits, probabilities = reference
    assert compare(Answers("1.0", {1: reference, 2: reference}), *reference).within(TOLERANCE)
    for changed in (2 * TOLERANCE, np.nan):
        other = logits.copy()
        other[7, 3] += changed
        verdict = compare(Answers("1.0", {1: reference, 2: (other, probabilities)}), *reference)
        assert not verdict.within(TOLERANCE)
        assert verdict.logits == pytest.approx(changed, nan_ok=True)
        other = probabilities.copy()
        other[7, 3] += changed
        assert not compare(Answers("1.0", {1: reference, 2: (logits, other)}), *reference).within(TOLERANCE)
    swapped = np.roll(logits, 1, axis=1)
    assert compare(Answers("1.0", {1: reference, 2: (swapped, probabilities)}), *reference).mismatches == len(IMAGES)


def test_the_made_up_images_are_pictures_and_the_extremes() -> None:
    blank, full, noise = IMAGES[-3:]
    assert not blank.any()
    assert (full == 255).all()
    assert len(np.unique(noise)) > 200
    assert all(10 < (image > 0).sum() < 200 and image.max() == 255 for image in IMAGES[:-3])
    again: Pixels = draw_images(200)
    assert np.array_equal(again, IMAGES)


def test_an_error_in_a_page_is_told() -> None:
    try:
        browser = find_chromium()
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    with pytest.raises(BrowserError, match="it is so"):
        post_from("page.html", {"page.html": b"<script>throw new Error('it is so')</script>"}, browser=browser)


@pytest.mark.parametrize(
    ("versions", "wanted"),
    [
        ("1.31.1, 1.18.1, 1.15.0", "onnxruntime==1.15.0 numpy<2"),
        ("1.31.1, 1.20.0", "onnxruntime==1.20.0"),
        ("1.19.2", "onnxruntime==1.19.2"),
    ],
)
def test_the_oldest_version_comes_with_the_numpy_that_it_needs(
    versions: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = f"onnxruntime (1.31.1)\nAvailable versions: {versions}\n  LATEST:    1.31.1\n"
    monkeypatch.setattr(environments, "run", lambda *_: listing)
    assert environments.oldest("onnxruntime", ["pip"]) == wanted


@pytest.mark.parametrize("environment", [environments.JAVASCRIPT, environments.WEB], ids=lambda one: one.name)
def test_a_javascript_lock_names_versions_and_checksums_but_no_host(environment: environments.NodeEnvironment) -> None:
    lock = json.loads((environment.folder / "package-lock.json").read_text())["packages"]
    packages = {name: entry for name, entry in lock.items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
