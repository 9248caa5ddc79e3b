"""deploy/triton: the repository that `make triton` writes, and the real Triton of nvidia-pytriton serving it."""

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import Classifier
from safetensors.numpy import save_file

from benchmarks.servers import PEERS
from tests.balancers import free_port
from tests.conftest import ROOT
from tests.http_server import ENVIRONMENT, PATIENCE, eventually
from tests.programs import installed
from tests.test_deploy_docs import lines_of

TEST_SET = ROOT / "data/test.safetensors"


def write(folder: Path, backend: str) -> Path:
    """Write the repository; return the model's folder in it."""
    command = [sys.executable, str(ROOT / "deploy/triton/repository.py"), str(folder), "--backend", backend]
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return folder / "mnist"


@contextmanager
def running_triton(folder: Path) -> Iterator[list[str]]:
    """Run Triton with its Python backend on such a repository; yield its addresses for HTTP and gRPC."""
    ports = [free_port(), free_port()]
    command = [installed("triton"), str(PEERS / "triton_server.py"), str(folder), *map(str, ports)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or is_ready(ports[0]), (folder / "log").read_text)
        assert process.poll() is None, (folder / "log").read_text()
        yield [f"127.0.0.1:{port}" for port in ports]
    finally:
        process.terminate()
        process.wait(PATIENCE)


def is_ready(port: int) -> bool:
    """Tell whether a server reports ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_real_triton_answers_as_the_classifier_does_to_the_bit(tmp_path: Path) -> None:
    images = TEST_SET
    if not images.exists():
        images = tmp_path / "images.safetensors"
        save_file({"images": np.random.default_rng(0).integers(0, 256, (10_000, 1, 28, 28), dtype=np.uint8)}, images)
    with running_triton(tmp_path) as addresses:
        command = [
            installed("triton"),
            str(ROOT / "tests/http_clients/triton_server.py"),
            *addresses,
            str(images),
        ]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["tritonclient.http 10000", "tritonclient.grpc 10000"]


@pytest.mark.parametrize("backend", ["onnxruntime", "python"])
def test_the_repository_describes_the_tensors_of_the_model(backend: str, tmp_path: Path) -> None:
    place = write(tmp_path, backend)
    text = (place / "config.pbtxt").read_text()
    contract = Classifier().contract
    assert f'backend: "{backend}"' in text
    assert re.findall(r'name: "(\w+)"', text) == ["mnist", "image", "logits", "probabilities", "digit"]
    assert f"data_type: TYPE_UINT8, dims: {list(contract.image_shape)}" in text
    assert text.count(f'dims: [{len(contract.labels)}], label_filename: "labels.txt"') == 2
    assert (place / "labels.txt").read_text().splitlines() == list(contract.labels)
    assert Classifier(place / "1/model.onnx").checksum == Classifier().checksum
    assert (place / "1/model.py").exists() == (backend == "python")


def test_the_repository_written_with_make_is_that_of_the_onnx_backend(tmp_path: Path) -> None:
    (line,) = lines_of("make triton")
    subprocess.run([*line.split(), f"FOLDER={tmp_path}"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    assert 'backend: "onnxruntime"' in (tmp_path / "mnist/config.pbtxt").read_text()
