"""`make new`: a project under another name, from a folder of drawn pictures to an answer of its service."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from stages import new
from stages.io import StageError
from tests.conftest import ROOT, edit_params
from tests.http_server import running_server
from tests.test_own_pictures import draw_shapes
from tests.test_pipeline import ENVIRONMENT


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy under the name `shape-reader`."""
    folder = tmp_path_factory.mktemp("new") / "shape-reader"
    new.copy_to(folder, "shape-reader")
    return folder


def test_no_file_of_the_copy_has_the_old_name(copied: Path) -> None:
    for path in copied.rglob("*"):
        if path.is_file() and not {".git", ".ruff_cache"}.intersection(path.parts):
            assert "mnist_serving" not in str(path)
            names = re.findall(r"mnist[-_]serving|MNIST_SERVING|MnistServing", path.read_text(encoding="utf-8"))
            assert names == (["mnist-serving"] if path.name == "README.md" else []), path


def test_it_has_all_code_and_none_of_the_outputs(copied: Path) -> None:
    for folder, package in (("stages", "stages"), ("serving/mnist_serving", "serving/shape_reader")):
        wanted = {path.name for path in (ROOT / folder).glob("*.py")} - {"new.py"}
        assert {path.name for path in (copied / package).glob("*.py")} == wanted
    for name in ("dvc.lock", "metrics.json", "serving/shape_reader/model.onnx", "examples", "docs/benchmarks.md"):
        assert not (copied / name).exists()


def test_its_tests_have_the_helpers_that_they_import_and_no_others(copied: Path) -> None:
    files = [*(copied / "tests").glob("*.py")]
    texts = "".join(path.read_text(encoding="utf-8") for path in files)
    imported = set(re.findall(r"(?m)^from tests(?:\.| import )(?!test_)([a-z_]+)", texts))
    assert {path.stem for path in files if "test_" not in path.stem} == imported | {"__init__", "conftest"}


def test_its_pages_and_its_makefile_name_only_what_it_has(copied: Path) -> None:
    for page in (copied / "README.md", *(copied / "docs").iterdir()):
        text = page.read_text(encoding="utf-8")
        assert "](" not in text, "links lead to pages that are not copied"
        assert "make new" not in text
    makefile = (copied / "Makefile").read_text(encoding="utf-8")
    programs = re.findall(r"python\)? (?:-m )?((?:stages|benchmarks|deploy)[\w./]*)", makefile)
    assert programs
    for program in programs:
        assert copied.joinpath(*program.removesuffix(".py").split(".")).with_suffix(".py").exists(), program
    (names,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert names.split() == re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE)


def test_its_lines_are_as_its_linter_wants_them(copied: Path) -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command], cwd=copied, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode()


def reproduce(copied: Path) -> dict[str, str]:
    """Train the copy on drawn pictures; return the environment of its commands."""
    draw_shapes(copied / "pictures", 30)
    edit_params(copied, detector__epochs=3, evaluate__pictures=5)
    environment = ENVIRONMENT | {"PYTHONPATH": str(copied / "serving")}
    for command in (["python", "-m", "stages.check"], ["dvc", "repro"]):
        done = subprocess.run(command, cwd=copied, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return environment


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_its_tests_pass_before_and_after_its_first_model(tmp_path: Path) -> None:
    copied = tmp_path / "shape-reader"
    new.copy_to(copied, "shape-reader")
    for trained in (False, True):
        if trained:
            reproduce(copied)
        for command in (["mypy"], ["pytest", "-n", "2", "--dist", "loadfile"]):
            environment = ENVIRONMENT | {"PYTHONPATH": str(copied / "serving")}
            done = subprocess.run(command, cwd=copied, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-5_000:]


@pytest.mark.parametrize("name", ["mnist", "mnist-digits", "my-mnist-serving"])
def test_a_name_that_holds_the_old_one_is_written_once(name: str) -> None:
    package = name.replace("-", "_")
    text = "serving/mnist_serving/model.json mnist-serving mnist_requests_total /v2/models/mnist/infer"
    assert new.rename(text, name) == (
        f"serving/{package}/model.json {name} {package}_requests_total /v2/models/{name}/infer"
    )


def test_it_learns_from_own_pictures_and_serves_them_under_its_own_name(copied: Path) -> None:
    environment = reproduce(copied)
    picture = io.BytesIO()
    with Image.open(copied / "pictures/ring/000.png") as ring:
        ring.save(picture, "PNG")
    serve = ("-m", "shape_reader", "serve", "--port", "0")
    with running_server(environment=environment, command=serve) as server:
        (answer,) = server.call("POST", "/predict", picture.getvalue(), content_type="image/png").json()["predictions"]
        assert answer["label"] in {"box", "cross", "ring"}
        described = server.call("GET", "/v2/models/shape-reader").json()
        assert described["name"] == "shape-reader"
        assert b"shape_reader_requests_total" in server.call("GET", "/metrics").body


@pytest.mark.parametrize("name", ["", "My-Project", "1st", "a--b", "class", "stages", "mnist-serving", "a b"])
def test_a_name_that_no_package_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageError, match=r"write small letters, digits and single hyphens, such as my-project"):
        new.copy_to(tmp_path / "new", name)


@pytest.mark.parametrize("name", ["torch", "numpy", "json", "sys", "onnx-ir"])
def test_a_name_that_would_hide_a_module_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StageError, match=r"Python has a module .* already: write another, such as my-project"):
        new.copy_to(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(StageError, match="which is not empty"):
        new.copy_to(tmp_path, "my-project")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
