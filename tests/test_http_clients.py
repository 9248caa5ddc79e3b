"""The clients that people use, against a started server, over all test images.

Each of Python runs in an environment of its own under `build/environments`, made at the first run.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from mnist_serving.classifier import Classifier
from safetensors.numpy import load_file, save_file

from benchmarks.peer_environments import environment
from tests.http_server import ROOT, Server, running_server
from tests.programs import require

SCRIPTS = ROOT / "tests" / "http_clients"
TEST_SET = ROOT / "data" / "test.safetensors"
COUNT = 10_000
SECONDS = 600  # for a client to come to its end


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server
        assert server.stop() == 0


@pytest.fixture(scope="module")
def images_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test set, where the pipeline has made it; else as many pictures drawn at random."""
    if TEST_SET.exists():
        return TEST_SET
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 1, 28, 28), dtype=np.uint8)
    path = tmp_path_factory.mktemp("images") / "images.safetensors"
    save_file({"images": images}, path)
    return path


def ask(client: str, script: str, server: Server, images: Path) -> npt.NDArray[np.int64]:
    """Run a client's script and return the labels that it prints."""
    # A client that finds proxies, or that forks under gRPC, would test those instead.
    settings = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    command = [str(environment(client)), str(SCRIPTS / script), f"127.0.0.1:{server.port}", str(images)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    return np.array(done.stdout.split(), dtype=np.int64)


@pytest.mark.timeout(1800)  # the first run installs
@pytest.mark.parametrize(
    ("client", "script"),
    [("tritonclient", "triton_sync.py"), ("tritonclient", "triton_asyncio.py"), ("kserve", "kserve_rest.py")],
)
def test_a_real_client_gets_the_classifier_s_answers(
    client: str, script: str, server: Server, images_file: Path
) -> None:
    tensors = load_file(images_file)
    guesses = ask(client, script, server, images_file)
    expected = Classifier().predict(tensors["images"])
    assert len(guesses) == COUNT
    assert np.array_equal(guesses, expected.probabilities.argmax(axis=1))
    if "labels" in tensors:
        verdict = json.loads((ROOT / "metrics.json").read_text())
        assert int((guesses == tensors["labels"]).sum()) == verdict["correct"]


def test_java_s_client_which_offers_to_upgrade_each_time_is_answered(server: Server) -> None:
    require("javac", package="default-jdk-headless")
    command = ["java", str(SCRIPTS / "Predict.java"), f"http://127.0.0.1:{server.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.stdout.split(), done.stderr) == (["200"] * 9, "")
