"""onnxruntime's telemetry, which writes to the home folder and asks a host: nothing of ours has it on by itself."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mnist_serving.classifier import PACKAGED_MODEL
from PIL import Image

from tests.conftest import ROOT
from tests.http_server import running_server

SWITCH = "ORT_DISABLE_TELEMETRY"
PROGRAMS = {
    "the package": ["-c", "import mnist_serving; mnist_serving.Classifier()"],
    "a module of the package": ["-c", "import mnist_serving.metadata"],
    "the application": ["-c", "from mnist_serving.http import create_app; create_app()"],
    "info": ["-m", "mnist_serving", "info"],
    "predict": ["-m", "mnist_serving", "predict", "{picture}"],
    "a stage": ["-c", "import stages.export, onnxruntime"],
    "a benchmark": ["-c", "import benchmarks, onnxruntime"],
    "examples/python": ["examples/python/classify.py", str(PACKAGED_MODEL), "{picture}"],
    "examples/batch": ["examples/batch/label.py", "{folder}", "{folder}/labels.csv"],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, of a user who has set nothing."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_written_to_the_home_folder(name: str, home: Path, tmp_path: Path) -> None:
    picture = tmp_path / "seven.pgm"
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(picture)
    command = [part.format(picture=picture, folder=tmp_path) for part in PROGRAMS[name]]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'serving'}"}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert list(home.rglob("*")) == []


def test_the_service_writes_nothing_to_the_home_folder(home: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "serving"), "PYTHONUNBUFFERED": "1"}
    with running_server(environment=environment) as server:
        assert server.stop() == 0
    assert list(home.rglob("*")) == []


def test_a_user_who_has_set_the_variable_keeps_the_value(home: Path) -> None:
    program = f"import os, mnist_serving, stages; print(os.environ['{SWITCH}'])"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'serving'}", SWITCH: "0", "HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout == b"0\n"


@pytest.mark.parametrize("page", ["README.md", "docs/embedding.md"])
def test_who_loads_the_file_alone_is_told(page: str) -> None:
    assert f"`{SWITCH}=1`" in (ROOT / page).read_text(encoding="utf-8")
