"""Runs the model in every runtime: each has a program in `benchmarks/runners`, which this starts where it belongs."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import environments
from benchmarks.browser import BrowserError, find_browser, post_from
from benchmarks.environments import JAVASCRIPT, RUNNERS, NodeEnvironment, PythonEnvironment

MODULES = RUNNERS / "node_modules"
WEB_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")  # of onnxruntime-web, for the processor

Program = Callable[[Path, Path, Sequence[int]], bytes]  # model, pixels, sizes -> the answer, see `runners`


class RuntimeMissingError(Exception):
    """A runtime is not here; the text says in one line what is needed."""


class RuntimeFailedError(Exception):
    """A runtime does not take the model; the text is its own."""


def in_python(
    kind: str, environment: PythonEnvironment | None, model: Path, pixels: Path, sizes: Sequence[int]
) -> bytes:
    """Answer in Python, in an environment of its own or in this one."""
    if environment is not None:
        check_made(environment)
    python = sys.executable if environment is None else environment.python
    return _run_program([str(python), str(RUNNERS / "in_python.py"), kind], model, pixels, sizes)


def in_node(command: Callable[[], list[str]], model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
    """Answer in Node, Bun or Deno."""
    return _run_program([*command(), str(RUNNERS / "in_node.mjs")], model, pixels, sizes)


def in_browser(bundler: str | None, model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
    """Answer in a headless Chromium, on a page as it is or as a bundler builds it."""
    browser = find_chromium()
    check_made(JAVASCRIPT)
    own = {name: (RUNNERS / name).read_bytes() for name in ("index.html", "in_browser.mjs", "answer.mjs")}
    files = bundle(RUNNERS, bundler) if bundler else web_files() | own
    files |= {"model.onnx": model.read_bytes(), "pixels": pixels.read_bytes()}
    try:
        return post_from(f"index.html?{','.join(map(str, sizes))}", files, browser=browser)
    except BrowserError as error:
        raise RuntimeFailedError(str(error)) from error


def in_cpp(model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
    """Answer in OpenCV from C++."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "in_opencv"
        compile_cpp(RUNNERS / "in_opencv.cpp", program)
        return _run_program([str(program)], model, pixels, sizes)


def node() -> list[str]:
    """Return the command that runs a program in Node."""
    command = find_command("node")
    check_made(JAVASCRIPT)
    return [command]


def bun() -> list[str]:
    """Return the command that runs a program in Bun."""
    check_made(JAVASCRIPT)
    return [_find_module("@oven/bun-*/bin/bun")]  # the command `bun` needs a script that `npm ci` leaves out


def deno() -> list[str]:
    """Return the command that runs a program in Deno."""
    check_made(JAVASCRIPT)
    return [_find_module("@deno/*/deno"), "run", "--allow-all", "--no-lock", "--quiet"]


RUNTIMES: Mapping[str, Program] = {
    "onnxruntime, the pinned one": partial(in_python, "onnxruntime", None),
    "onnxruntime, the oldest for this Python": partial(in_python, "onnxruntime", environments.OLDEST_ONNXRUNTIME),
    "ONNX's reference evaluator": partial(in_python, "reference", None),
    "OpenCV 5 dnn, Python": partial(in_python, "opencv", environments.OPENCV_5),
    "OpenCV 4 dnn, Python": partial(in_python, "opencv", environments.OPENCV_4),
    "OpenCV dnn, C++": in_cpp,
    "OpenVINO": partial(in_python, "openvino", environments.OPENVINO),
    "tract": partial(in_python, "tract", environments.TRACT),
    "TVM": partial(in_python, "tvm", environments.TVM),
    "IREE": partial(in_python, "iree", environments.IREE),
    "MNN": partial(in_python, "mnn", environments.MNN),
    "onnxruntime-node": partial(in_node, node),
    "onnxruntime-node in Bun": partial(in_node, bun),
    "onnxruntime-node in Deno": partial(in_node, deno),
    "onnxruntime-web": partial(in_browser, None),
    "onnxruntime-web, built by Vite": partial(in_browser, "vite"),
    "onnxruntime-web, built by webpack": partial(in_browser, "webpack"),
}


def web_files() -> dict[str, bytes]:
    """Return by name what a page needs of onnxruntime-web."""
    check_made(JAVASCRIPT)
    return {name: (MODULES / "onnxruntime-web/dist" / name).read_bytes() for name in WEB_FILES}


def bundle(folder: Path, bundler: str) -> dict[str, bytes]:
    """Return by name the files that a bundler makes of `index.html` and `in_browser.mjs` in a folder.

    Raises:
        RuntimeMissingError: Node or the bundler is not here.
        RuntimeFailedError: it fails.

    """
    with tempfile.TemporaryDirectory() as name:
        target = Path(name)
        if bundler == "vite":
            _run([*node(), str(MODULES / "vite/bin/vite.js"), "build", str(folder), "--outDir", name, "--base", "./"])
        else:
            options = ("--mode", "production", "--output-path", name, "--output-filename", "in_browser.mjs")
            _run([*node(), str(MODULES / "webpack/bin/webpack.js"), str(folder / "in_browser.mjs"), *options])
            shutil.copy(folder / "index.html", target)
        return {str(file.relative_to(target)): file.read_bytes() for file in target.rglob("*") if file.is_file()}


def find_chromium() -> str:
    """Return the command, or raise `RuntimeMissingError`."""
    if (found := find_browser()) is None:
        raise RuntimeMissingError("Chromium is not installed")
    return found


def find_command(name: str) -> str:
    """Return its path, or raise `RuntimeMissingError`."""
    if (found := shutil.which(name)) is None:
        raise RuntimeMissingError(f"{name} is not installed")
    return found


def _find_module(pattern: str) -> str:
    """Return the path of a program that npm has for some processors, or raise `RuntimeMissingError`."""
    if (found := next(MODULES.glob(pattern), None)) is None:
        raise RuntimeMissingError(f"npm has no {pattern} for this processor")
    return str(found)


def find_opencv_compiler() -> list[str]:
    """Return g++ with the flags for the OpenCV of the system, which Debian has in `libopencv-dnn-dev`."""
    command = [find_command("g++"), "-std=c++17", "-I/usr/include/opencv4"]
    headers = [*command, "-x", "c++", "-E", "-include", "opencv2/dnn.hpp", "/dev/null"]
    if subprocess.run(headers, capture_output=True, check=False).returncode:
        raise RuntimeMissingError("the headers of OpenCV are missing: install libopencv-dnn-dev")
    return command


def compile_cpp(source: Path, program: Path) -> None:
    """Compile a program that uses OpenCV."""
    _run([*find_opencv_compiler(), str(source), "-o", str(program), "-lopencv_dnn", "-lopencv_core"])


def check_made(environment: PythonEnvironment | NodeEnvironment) -> None:
    """Raise `RuntimeMissingError` where the environment is not there."""
    if not environment.ready():
        raise RuntimeMissingError(
            f"the environment {environment.name} is not made: run `python -m benchmarks.environments`"
        )


def _run_program(command: Sequence[str], model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
    """Run a program of `benchmarks/runners`; return its answer."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        _run([*command, str(model), str(pixels), str(answer), *map(str, sizes)])
        return answer.read_bytes()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeFailedError(next((line for line in reversed(lines) if "rror" in line), lines[-1]))
