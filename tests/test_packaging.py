"""The wheel, installed into an empty environment."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipapp
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel in it and nothing that it does not bring itself."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    return python


def test_the_wheel_holds_the_model_and_is_small(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mnist_serving/model.onnx", "mnist_serving/model.json", "mnist_serving/py.typed"} <= set(names)
    for folder in ("static", "reference"):
        page = {path.name for path in (ROOT / "serving/mnist_serving/http" / folder).iterdir()}
        assert page == {Path(name).name for name in names if f"/http/{folder}/" in name}
    assert all(name.startswith(("mnist_serving/", "mnist_serving-")) for name in names)
    assert not [name for name in names if name.endswith((".png", ".gz", ".safetensors"))]
    assert wheel.stat().st_size < 1_000_000


def test_the_same_sources_make_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_its_long_description_holds_wherever_it_is_shown(wheel: Path, python: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        (metadata,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        text = content.read(metadata).decode().partition("\n\n")[2]
    assert text == (ROOT / "serving/README.md").read_text(encoding="utf-8")
    assert not re.findall(r"\]\((?!https?://)", text), "an index shows no file of the repository"
    accuracy = json.loads((ROOT / "serving/mnist_serving/model.json").read_text(encoding="utf-8"))["accuracy"]
    assert f"{100 * accuracy:.2f} % of MNIST's test images" in text
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    done = subprocess.run([python, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert re.fullmatch(r"\['1'\] [01]\.\d+ \[False\]\n", done.stdout)


def test_it_brings_numpy_and_onnxruntime_and_nothing_that_they_do_not_need(python: Path) -> None:
    listed = subprocess.run([python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True)
    names = {entry["name"].lower() for entry in json.loads(listed.stdout)}
    needed_by_onnxruntime = {"flatbuffers", "packaging", "protobuf", "coloredlogs", "humanfriendly", "sympy", "mpmath"}
    assert names - needed_by_onnxruntime - {"pip", "setuptools"} == {"mnist-serving", "numpy", "onnxruntime"}


def test_it_works_at_once_and_never_imports_torch(python: Path, tmp_path: Path) -> None:
    code = (
        "import sys, numpy; from mnist_serving import Classifier;"
        "print(Classifier().predict(numpy.zeros((28, 28), numpy.uint8)).abstained[0], 'torch' in sys.modules)"
    )
    done = subprocess.run([python, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"]


def test_the_command_is_installed_and_names_the_extra_that_is_missing(python: Path, tmp_path: Path) -> None:
    command = python.with_name("mnist-serving")
    info = subprocess.run([command, "info", "--json"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert json.loads(info.stdout)["labels"] == [*"0123456789"]
    (tmp_path / "page.png").write_bytes(b"")
    done = subprocess.run([command, "predict", "page.png"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "mnist-serving: error: this needs PIL: pip install pillow\n"


def test_it_works_inside_a_zip_application(python: Path, wheel: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(packed)
    (packed / "__main__.py").write_text("from mnist_serving.cli import main\nmain()\n")
    zipapp.create_archive(packed, tmp_path / "app.pyz")
    shutil.rmtree(packed)
    done = subprocess.run([python, "app.pyz", "info"], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "app.pyz/mnist_serving/model.onnx" in done.stdout
    assert "examples   5, answered correctly" in done.stdout


@pytest.mark.slow
def test_pyinstaller_packs_the_model(python: Path, tmp_path: Path) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", "pyinstaller"], check=True)
    (tmp_path / "app.py").write_text("from mnist_serving.cli import main\nmain()\n")
    command = [str(python), "-m", "PyInstaller", "--onedir", "--log-level", "ERROR", "app.py"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "dist/app/app", "info"], check=False, capture_output=True, text=True)
    assert "examples   5, answered correctly" in done.stdout, done.stderr


@pytest.mark.slow
def test_it_works_with_the_oldest_versions_that_it_admits(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "oldest", with_pip=True)
    python = tmp_path / "oldest/bin/python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["http"], *extras["images"], *extras["parity"]]
    oldest = [name.replace(">=", "==") for name in wanted]
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel, *oldest], check=True)
    code = (
        "import numpy; from PIL import Image; from mnist_serving import Classifier, canonicalize;"
        "from mnist_serving.http import create_app; create_app();"
        "page = numpy.full((90, 60), 240, numpy.uint8); page[20:70, 28:33] = 20;"
        "print(Classifier().predict(canonicalize(page)).labels)"
    )
    done = subprocess.run([python, "-c", code], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.stdout == "['1']\n", done.stderr


def build_archive(folder: Path) -> Path:
    """Build the source archive into a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def test_the_source_archive_holds_the_package_and_neither_images_nor_the_cache(tmp_path: Path) -> None:
    listing = subprocess.run(["tar", "-tzf", build_archive(tmp_path)], check=True, capture_output=True, text=True)
    names = {name.partition("/")[2] for name in listing.stdout.splitlines()}
    assert {name for name in names if not name.startswith("serving/")} == {
        "LICENSE",
        "PKG-INFO",
        "pyproject.toml",
        ".gitignore",
    }
    assert {"serving/README.md", "serving/mnist_serving/model.onnx"} <= names


@pytest.mark.slow
def test_wheel_and_source_archive_can_be_published(wheel: Path, python: Path, tmp_path: Path) -> None:
    archive = build_archive(tmp_path)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "twine"], check=True)
    done = subprocess.run(
        [python, "-m", "twine", "check", "--strict", wheel, archive], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
