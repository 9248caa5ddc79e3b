"""docs/embedding.md: every program in it runs, and its table is that of the runtimes that are measured."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from mnist_serving.classifier import open_session

from benchmarks.browser import post_from
from benchmarks.environments import JAVASCRIPT, OPENCV_5, OPENVINO, RUNNERS
from benchmarks.runtimes import (
    MODEL,
    RUNTIMES,
    RuntimeMissingError,
    check_made,
    compile_cpp,
    draw_images,
    find_chromium,
    find_command,
    web_files,
)
from stages.config import read_sections
from tests.conftest import ROOT

TOLERANCE = read_sections((ROOT / "params.yaml").read_text(encoding="utf-8"))["export"]["tolerance"]
PAGE = (ROOT / "docs/embedding.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"^### (.+?)\n(?:(?!^#).)*?^```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))

# Added to the page by the test: it posts the answer as soon as it stands there.
POST_ANSWER = b"""<script>
  const answer = document.getElementById("answer");
  const post = () => fetch("answer", { method: "POST", body: answer.textContent });
  new MutationObserver(post).observe(answer, { childList: true });
</script>
"""


def printed(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_in_onnxruntime(program: str, folder: Path) -> str:
    return printed(sys.executable, "-c", program, folder=folder)


def run_in_opencv(program: str, folder: Path) -> str:
    check_made(OPENCV_5)
    return printed(str(OPENCV_5.python), "-c", program, folder=folder)


def run_in_node(program: str, folder: Path) -> str:
    node = find_command("node")
    check_made(JAVASCRIPT)
    (folder / "digit.mjs").write_text(program)
    (folder / "node_modules").symlink_to(RUNNERS / "node_modules")
    return printed(node, "digit.mjs", folder=folder)


def run_in_browser(program: str, folder: Path) -> str:
    browser = find_chromium()
    files = web_files() | {path.name: path.read_bytes() for path in folder.iterdir()}
    files["digit.html"] = program.encode() + POST_ANSWER
    return post_from("digit.html", files, browser=browser).decode()


def run_in_cpp(program: str, folder: Path) -> str:
    (folder / "digit.cpp").write_text(program)
    compile_cpp(folder / "digit.cpp", folder / "digit")
    return printed(str(folder / "digit"), folder=folder)


WAYS: Mapping[str, Callable[[str, Path], str]] = {
    "Python, onnxruntime": run_in_onnxruntime,
    "Python, OpenCV": run_in_opencv,
    "Node": run_in_node,
    "Browser": run_in_browser,
    "C++, OpenCV": run_in_cpp,
}


@pytest.mark.parametrize("heading", WAYS)
def test_the_program_names_the_digit_and_its_probability(heading: str, tmp_path: Path) -> None:
    shutil.copy(MODEL, tmp_path / "model.onnx")
    image = draw_images(5)[:1]
    (tmp_path / "digit.gray").write_bytes(image.tobytes())
    try:
        label, probability = WAYS[heading](PROGRAMS[heading], tmp_path).split()
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    (wanted,) = open_session(MODEL.read_bytes(), name=MODEL.name).run(["probabilities"], {"image": image})[0]
    assert label == str(wanted.argmax())
    assert float(probability) == pytest.approx(wanted.max(), abs=TOLERANCE)


def test_no_program_of_the_page_goes_untested() -> None:
    assert PROGRAMS.keys() == WAYS.keys()
    assert len(re.findall(r"^```(?!sh\b)\w+$", PAGE, flags=re.MULTILINE)) == len(WAYS)


def test_the_table_has_a_row_for_each_runtime_and_none_differs() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([\w. ()]+) \| 1, 2, 7, 64 \|(.*)\| (\d+) \|$", PAGE, flags=re.MULTILINE)
    assert [row[0] for row in rows] == list(RUNTIMES)
    for _, _, differences, mismatches in rows:
        assert np.max([float(number) for number in differences.strip(" |").split("|")]) <= TOLERANCE
        assert mismatches == "0"


def test_the_tables_versions_are_those_pinned() -> None:
    packages = json.loads((RUNNERS / "package.json").read_text())["dependencies"]
    pinned = {f"onnxruntime-{kind}": packages[f"onnxruntime-{kind}"] for kind in ("node", "web")}
    pinned["OpenVINO"] = OPENVINO.requirements[0].partition("==")[2]
    pinned["OpenCV 5 dnn, Python"] = OPENCV_5.requirements[0].partition("==")[2].rpartition(".")[0]
    lock = (ROOT / "requirements.lock").read_text()
    for name, package in (("onnxruntime, the newest", "onnxruntime"), ("ONNX's reference evaluator", "onnx")):
        pinned[name] = re.findall(rf"^{package}==(.+)$", lock, flags=re.MULTILINE)[0]
    for name, version in pinned.items():
        assert f"| {name} | {version} " in PAGE
