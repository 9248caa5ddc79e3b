"""The servers to compare: how to start them, send requests, measure them at rest and end them."""

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from mnist_serving import Classifier
from PIL import Image

from benchmarks.peer_environments import environment

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
MODEL = ROOT / "serving" / "mnist_serving" / "model.onnx"
PATIENCE = 120  # seconds for a server to become ready
PIXELS = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8)[None, None] * 4  # some picture
INFER = "/v2/models/mnist/infer"


@dataclass(frozen=True)
class LoadRequest:
    """The request that wrk sends again and again."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def script(self) -> str:
        """Return it as a script for wrk."""
        body = "".join(f"\\{byte:03}" for byte in self.body)
        headers = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in self.headers.items())
        return f'wrk.method = "POST"\nwrk.body = "{body}"\n{headers}'

    def expression(self) -> str:
        """Return it as an expression for a script that mixes several."""
        body = "".join(f"\\{byte:03}" for byte in self.body)
        headers = ", ".join(f'["{name}"] = "{value}"' for name, value in {"Host": "localhost", **self.headers}.items())
        return f'wrk.format("POST", "{self.path}", {{{headers}}}, "{body}")'


@dataclass(frozen=True)
class Contender:
    """A server: its environment, its command with {port}, its request."""

    name: str
    environment: str  # "" is the current one
    command: tuple[str, ...]
    request: LoadRequest
    ready: str
    settings: dict[str, str] = field(default_factory=dict)
    package: str = ""  # whose version is shown; by default that of the environment's name


def infer_json() -> bytes:
    """Return the image as an Open Inference Protocol request, without binary tensors."""
    tensor = {"name": "image", "shape": [1, 1, 28, 28], "datatype": "UINT8", "data": PIXELS.ravel().tolist()}
    return json.dumps({"inputs": [tensor], "outputs": [{"name": "probabilities"}]}).encode()


def infer_binary() -> LoadRequest:
    """Return the image as a binary tensor, and ask for the probabilities as one."""
    parameters = {"binary_data_size": PIXELS.nbytes}
    tensor = {"name": "image", "shape": [1, 1, 28, 28], "datatype": "UINT8", "parameters": parameters}
    output = {"name": "probabilities", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    return LoadRequest(INFER, head + PIXELS.tobytes(), {"Inference-Header-Content-Length": str(len(head))})


def picture() -> LoadRequest:
    """Return a PNG of a digit, 280 x 280 pixels, black on white."""
    digit = Classifier().contract.golden.images[0, 0]
    content = io.BytesIO()
    Image.fromarray(255 - np.kron(digit, np.ones((10, 10), np.uint8))).save(content, "PNG")
    return LoadRequest("/predict", content.getvalue(), {"Content-Type": "image/png"})


def contenders() -> list[Contender]:
    """Return all servers, the ceiling first."""
    pixels = json.dumps({"image": PIXELS.ravel().tolist()}).encode()
    simple, v2 = LoadRequest("/predict", pixels), LoadRequest(INFER, infer_json())
    uvicorn = ("-m", "uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "error")
    ours = ("-m", "mnist_serving", "serve", "--port", "{port}")
    path = {"PYTHONPATH": f"{ROOT / 'serving'}:{PEERS}"}
    granian = ("-m", "granian", "--interface", "asgi", "--port", "{port}", "--log-level", "error", "--no-ws")
    others = (
        ("uvicorn", (*uvicorn, "mounted:app")),
        ("granian", (*granian, "mounted:app")),
        ("hypercorn", ("-m", "hypercorn", "--bind", "127.0.0.1:{port}", "--worker-class", "uvloop", "mounted:app")),
    )
    return [
        Contender("ceiling", "fastapi", (*uvicorn, "ceiling:app"), simple, "/"),
        Contender("ours, /predict", "", ours, simple, "/v2/health/ready", path),
        *(Contender(f"ours, in {name}", "servers", command, simple, "/v2", path, name) for name, command in others),
        Contender("ours, V2 JSON", "", ours, v2, "/v2/health/ready", path),
        Contender("ours, a PNG", "", ours, picture(), "/v2/health/ready", path),
        Contender("ours, V2 binary", "", ours, infer_binary(), "/v2/health/ready", path),
        Contender("fastapi", "fastapi", (*uvicorn, "fastapi_app:app"), simple, "/ready"),
        Contender(
            "mlserver",
            "mlserver",
            ("-c", "from mlserver.cli import main; main()", "start", "{folder}"),
            v2,
            "/v2/models/mnist/ready",
        ),
        Contender(
            "triton",
            "triton",
            ("triton_server.py", "{folder}", "{port}"),
            infer_binary(),
            "/v2/health/ready",
            package="nvidia-pytriton",
        ),
        Contender("litserve", "litserve", ("litserve_app.py",), simple, "/health"),
        Contender(
            "bentoml",
            "bentoml",
            ("-m", "bentoml", "serve", "bentoml_app:Digits", "--port", "{port}"),
            simple,
            "/readyz",
            {"BENTOML_DO_NOT_TRACK": "true"},
        ),
    ]


@contextmanager
def running(contender: Contender, core: int) -> Iterator[tuple[int, subprocess.Popen[bytes], float]]:
    """Run a server on one core; yield its port, its process and the seconds to its first answer."""
    python = environment(contender.environment) if contender.environment else Path(sys.executable)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        write_mlserver_settings(Path(folder), port)
        command = [part.format(port=port, folder=folder) for part in contender.command]
        settings = {
            "PYTHONPATH": str(PEERS),
            "MODEL": str(MODEL),
            "PORT": str(port),
            "PATH": f"{python.parent}:/usr/bin",
        }
        began = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), str(python), *command],  # noqa: S607 (util-linux)
            cwd=PEERS,
            env=os.environ | settings | contender.settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_ready(port, contender.ready, process)
            yield port, process, time.perf_counter() - began
        finally:
            end(process)


def write_mlserver_settings(folder: Path, port: int) -> None:
    """Write MLServer's settings: no gRPC or metrics port that could be taken, no worker processes."""
    server = {"host": "127.0.0.1", "http_port": port, "grpc_port": 0, "metrics_endpoint": None, "parallel_workers": 0}
    model = {"name": "mnist", "implementation": "mlserver_app.Digits"}
    (folder / "settings.json").write_text(json.dumps(server))
    (folder / "model-settings.json").write_text(json.dumps(model))


def wait_until_ready(port: int, path: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server is ready.

    Raises:
        RuntimeError: it ended, or took too long.

    """
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
    raise RuntimeError(f"the server on port {port} ended or took more than {PATIENCE} s to get ready")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server and the processes that it started."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    process.terminate()
    psutil.wait_procs(family, timeout=5)
    for member in family:
        if member.is_running():
            member.kill()
    process.wait()


def memory(process: subprocess.Popen[bytes]) -> float:
    """Return the MiB that a server and its processes use; shared memory counts once."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return sum(member.memory_full_info().pss for member in family) / 2**20


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU time that a server and its processes have used."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)


def check_answer(port: int, request: LoadRequest) -> None:
    """Send one request and check the status: wrk does not look at the replies."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", request.path, request.body, request.headers)
    reply = connection.getresponse()
    if reply.status != http.HTTPStatus.OK:
        raise RuntimeError(reply.read().decode())
    connection.close()
