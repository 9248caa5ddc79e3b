"""docs/embedding.md: every program in it runs, and its tables are those of the runtimes that are measured."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import Classifier
from mnist_serving.classifier import open_session

from benchmarks import environments, launch
from benchmarks.browser import post_from
from benchmarks.converted import CONVERSIONS
from benchmarks.environments import RUNNERS, PythonEnvironment
from benchmarks.launch import RUNTIMES, RuntimeMissingError
from benchmarks.runtimes import MODEL, draw_images
from stages.config import read_sections
from tests.conftest import ROOT

TOLERANCE = read_sections((ROOT / "params.yaml").read_text(encoding="utf-8"))["export"]["tolerance"]
PAGE = (ROOT / "docs/embedding.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"^#+ ([^\n]+)\n(?:(?!^#).)*?^```\w+\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
FIRST, *PARTS, LAST = re.split(r"\n\n(?=# |for )", PROGRAMS.pop("Python"))
PROGRAMS |= {part[2:].partition(":")[0]: f"{FIRST}\n{part}\n{LAST}" for part in PARTS}
BY_HAND = {"PyTorch", "TFLite"}  # their environments are large; the page says when they were tried

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


def run_in_python(environment: PythonEnvironment | None, program: str, folder: Path) -> str:
    if environment is not None:
        launch.check_made(environment)
    python = Path(sys.executable) if environment is None else environment.python
    for command in re.findall(r"^#     (.+)$", program, flags=re.MULTILINE):
        name, *arguments = command.split()
        printed(str(python.parent / name), *arguments, folder=folder)
    (folder / "digit.py").write_text(program)
    return printed(str(python), "digit.py", folder=folder).splitlines()[-1]


def run_in_node(engine: Callable[[], list[str]], program: str, folder: Path) -> str:
    command = engine()
    (folder / "digit.mjs").write_text(program)
    for name in ("package.json", "node_modules"):
        (folder / name).symlink_to(RUNNERS / name)
    return printed(*command, "digit.mjs", folder=folder)


def run_in_browser(bundler: str | None, program: str, folder: Path) -> str:
    browser = launch.find_chromium()
    own = {path.name: path.read_bytes() for path in folder.iterdir()}
    if bundler is None:
        files = launch.web_files() | {"index.html": program.encode()}
    else:
        (folder / "node_modules").symlink_to(RUNNERS / "node_modules")
        page = re.sub(r"<script type=.importmap.*\n", "", program)
        _, script, _ = re.split(r"</?script.*>", page)
        (folder / "in_browser.mjs").write_text(script)
        (folder / "index.html").write_text(page.replace(script, "").replace("module", 'module" src="in_browser.mjs'))
        files = launch.bundle(folder, bundler)
    files["index.html"] += POST_ANSWER
    return post_from("index.html", own | files, browser=browser).decode()


WAYS: Mapping[str, tuple[str, Callable[[str, Path], str]]] = {
    "onnxruntime": ("onnxruntime", partial(run_in_python, None)),
    "OpenCV": ("OpenCV", partial(run_in_python, environments.OPENCV_5)),
    "OpenVINO": ("OpenVINO", partial(run_in_python, environments.OPENVINO)),
    "tract": ("tract", partial(run_in_python, environments.TRACT)),
    "TVM": ("TVM", partial(run_in_python, environments.TVM)),
    "IREE": ("IREE", partial(run_in_python, environments.IREE)),
    "MNN": ("MNN", partial(run_in_python, environments.MNN)),
    "Node": ("Node, Bun, Deno", partial(run_in_node, launch.node)),
    "Bun": ("Node, Bun, Deno", partial(run_in_node, launch.bun)),
    "Deno": ("Node, Bun, Deno", partial(run_in_node, launch.deno)),
    "a browser": ("Browser", partial(run_in_browser, None)),
    "a browser, by Vite": ("Browser", partial(run_in_browser, "vite")),
    "a browser, by webpack": ("Browser", partial(run_in_browser, "webpack")),
}


@pytest.mark.parametrize("name", WAYS)
def test_the_program_names_the_digit_and_its_probability(name: str, tmp_path: Path) -> None:
    shutil.copy(MODEL, tmp_path / "model.onnx")
    image = draw_images(5)[:1]
    (tmp_path / "digit.gray").write_bytes(image.tobytes())
    heading, run = WAYS[name]
    try:
        label, probability = run(PROGRAMS[heading], tmp_path).split()
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    (wanted,) = open_session(MODEL.read_bytes(), name=MODEL.name).run(["probabilities"], {"image": image})[0]
    assert label == str(wanted.argmax())
    assert float(probability) == pytest.approx(wanted.max(), abs=TOLERANCE)


def test_the_page_converts_the_model_into_files_that_the_package_loads(tmp_path: Path) -> None:
    shutil.copy(MODEL, tmp_path / "model.onnx")
    printed(sys.executable, "-c", PROGRAMS["Converted"], folder=tmp_path)
    wanted = Classifier().predict(images := draw_images(200))
    for name in ("int8.onnx", "float16.onnx"):
        found = Classifier(tmp_path / name, verify="labels").predict(images)
        assert np.mean(found.abstained == wanted.abstained) > 0.95, name


def test_no_program_of_the_page_goes_untested() -> None:
    assert PROGRAMS.keys() - {"Converted"} == {heading for heading, _ in WAYS.values()} | BY_HAND
    assert len(re.findall(r"^```\w+$", PAGE, flags=re.MULTILINE)) == 4


def test_the_table_of_converted_files_has_a_row_for_each() -> None:
    rows = re.findall(r"^\| ([^|]+) \| \d+ \|(?: [\d.%]+ \|){7}$", PAGE, flags=re.MULTILINE)
    assert rows == list(CONVERSIONS)


def test_the_table_has_a_row_for_each_runtime_and_none_differs() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([\w. ()]+) \| 1, 2, 7, 64 \|(.*)\| (\d+) \|$", PAGE, flags=re.MULTILINE)
    assert [row[0] for row in rows] == list(RUNTIMES)
    for _, _, differences, mismatches in rows:
        assert np.max([float(number) for number in differences.strip(" |").split("|")]) <= TOLERANCE
        assert mismatches == "0"


def test_the_tables_versions_are_those_pinned() -> None:
    packages = json.loads((RUNNERS / "package.json").read_text())["dependencies"]
    pinned = {f"onnxruntime-{kind}": packages[f"onnxruntime-{kind}"] for kind in ("node", "web")}
    pinned["OpenVINO"] = environments.OPENVINO.requirements[0].partition("==")[2]
    for name, environment in (("tract", environments.TRACT), ("TVM", environments.TVM), ("MNN", environments.MNN)):
        pinned[name] = environment.requirements[0].partition("==")[2]
    pinned["OpenCV 5 dnn, Python"] = environments.OPENCV_5.requirements[0].partition("==")[2].rpartition(".")[0]
    lock = (ROOT / "requirements.lock").read_text()
    for name, package in (("onnxruntime, the pinned one", "onnxruntime"), ("ONNX's reference evaluator", "onnx")):
        pinned[name] = re.findall(rf"^{package}==(.+)$", lock, flags=re.MULTILINE)[0]
    for name, version in pinned.items():
        assert f"| {name} | {version} " in PAGE
