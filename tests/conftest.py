"""A made-up data set in the MNIST format, a small project around it; a server, a browser, the page in it."""

import gzip
import json
import re
import shutil
import signal
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ruamel.yaml import YAML

from stages.losses.cross_entropy import CrossEntropy
from stages.objective import Objective
from stages.recipe import fill
from tests import firefox
from tests.drawing_page import address, show
from tests.http_server import Server, eventually, running_server
from tests.leftovers import describe, leftovers
from tests.web_driver import AnyBrowser, Browser, missing, running_browser

ROOT = Path(__file__).parents[1]
TRAIN_IMAGES, TEST_IMAGES = 600, 200

# A shell has what it runs in the background ignore Ctrl+C, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what takes minutes or gigabytes, and say so."""
    if item.get_closest_marker("slow") and item.config.option.markexpr != "slow":
        pytest.skip("did not run: it takes minutes or gigabytes; `make slow` runs it")


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """Fail the run, after its last test, if a process that it has started is still alive."""
    yield
    eventually(lambda: not leftovers(), lambda: "these to end: " + "; ".join(map(describe, leftovers())))


def make_digits(count: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return noisy pictures, uint8 [N,28,28], of ten shapes that a network can tell apart, and their labels."""
    shapes = np.random.default_rng(0).integers(0, 200, (10, 28, 28))
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count).astype(np.uint8)
    images = shapes[labels] + random.integers(0, 56, (count, 28, 28))
    return images.astype(np.uint8), labels


def as_idx(array: npt.NDArray[np.uint8]) -> bytes:
    """Return an unsigned-byte IDX file, gzipped: http://yann.lecun.com/exdb/mnist/."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


@pytest.fixture(scope="session")
def idx_files() -> dict[str, bytes]:
    """The four files of the made-up data set, by name."""
    files = {}
    for split, count, seed in (("train", TRAIN_IMAGES, 1), ("t10k", TEST_IMAGES, 2)):
        images, labels = make_digits(count, seed)
        files[f"{split}-images-idx3-ubyte.gz"] = as_idx(images)
        files[f"{split}-labels-idx1-ubyte.gz"] = as_idx(labels)
    return files


@pytest.fixture
def mirror(tmp_path: Path, idx_files: dict[str, bytes]) -> Path:
    """A folder with the four files."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in idx_files.items():
        (folder / name).write_bytes(content)
    return folder


def make_objective(**changes: Any) -> Objective:  # noqa: ANN401 (of every type that box 3 has)
    """Return box 3 as the tutorial fills it, with changes."""
    plain: dict[str, Any] = {"loss": CrossEntropy(kind="cross_entropy", label_smoothing=0.0), "optimizer": "adam"}
    numbers = {"learning_rate": 0.001, "weight_decay": 0.0, "betas": (0.9, 0.999), "momentum": 0.0}
    return Objective(**(plain | numbers | {"schedule": "constant"} | changes))


def edit_params(folder: Path, **changes: Any) -> None:  # noqa: ANN401 (whatever a test wants in there)
    """Change `section__key=value`, or deeper, in the `params.yaml` of a folder."""
    yaml = YAML()
    content = yaml.load(folder / "params.yaml")
    for place, value in changes.items():
        *sections, key = place.split("__")
        section = content
        for name in sections:
            section = section[name]
        section[key] = value
    yaml.dump(content, folder / "params.yaml")


def make_project(folder: Path, mirror: Path, checksums: dict[str, str]) -> Path:
    """Copy the pipeline, without what it made, and point it at the made-up data set."""
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    ignore = shutil.ignore_patterns("__pycache__", "model.onnx", "model.json")
    (folder / "pictures").mkdir()
    for name in ("recipes", "stages", "serving"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    path = folder / "params.yaml"
    path.write_text(fill(path.read_text(), "tutorial"))
    edit_params(
        folder,
        download__mnist__mirrors=[str(mirror)],
        download__mnist__sha256=checksums,
        data__dataset="mnist",
        data__validation=0.16667,
        train__epochs=2,
        train__min_steps=0,
        detector__pictures=5,
        detector__digits=5,
        detector__pages=20,
        calibrate__pages=20,
        calibrate__drawn_digits__pictures=5,
        detector__epochs=2,
        evaluate__pictures=5,
    )
    return folder


@pytest.fixture
def project(tmp_path: Path, mirror: Path, idx_files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the pipeline on the made-up data set; the working directory while the test lasts."""
    monkeypatch.delenv("MNIST_MIRROR", raising=False)
    checksums = {name: sha256(content).hexdigest() for name, content in idx_files.items()}
    folder = make_project(tmp_path / "project", mirror, checksums)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The server, running."""
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, where there is one."""
    if reason := missing():
        pytest.skip(reason)
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def any_browser(request: pytest.FixtureRequest) -> Iterator[AnyBrowser]:
    """Each browser that there is."""
    wants_firefox = request.param == "firefox"
    if reason := firefox.missing() if wants_firefox else missing():
        pytest.skip(reason)
    with firefox.running_firefox() if wants_firefox else running_browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Browser]:
    """The page, opened; afterwards: no script failed, no policy was broken, no other host was asked."""
    browser.log("browser")
    browser.log("performance")
    show(browser, server)
    yield browser
    logged = browser.log("browser")  # statuses above 399 are the network's, slow reading of pixels the tests' own
    assert [entry for entry in logged if entry["source"] not in {"network", "rendering"}] == []
    assert {re.match(r"data:|https?://[^/]+", url)[0] for url in _requested(browser)} <= {"data:", address(server)}  # type: ignore[index]


def _requested(browser: Browser) -> list[str]:
    """Return the addresses that were asked for since the log was last read."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]
