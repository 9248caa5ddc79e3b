"""The model in every runtime that people load it into: does each give the same answers?

    python -m benchmarks.environments && python -m benchmarks.runtimes [--images 10000] [--model FILE]

Prints a Markdown table. Each runtime gets all images in each batch size. Logits of test images are compared with
those that PyTorch wrote; everything else with the same graph worked out in 64 bits, which no runtime's rounding
touches. Without the data of `dvc repro` only the made-up images are run. Exit code 1 where a runtime differs.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import load_file
from tqdm import tqdm

from benchmarks.browser import BrowserError, find_browser, post_from
from benchmarks.environments import (
    JAVASCRIPT,
    OLDEST_ONNXRUNTIME,
    OPENCV_4,
    OPENCV_5,
    OPENVINO,
    ROOT,
    RUNNERS,
    NodeEnvironment,
    PythonEnvironment,
)
from stages.config import read_sections
from stages.io import LOGITS_FILE, MODEL_FILE, TEST_FILE

BATCH_SIZES = (1, 2, 7, 64)
WEB_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")  # of onnxruntime-web, for the processor
MODEL, IMAGES, LOGITS = ROOT / MODEL_FILE, ROOT / TEST_FILE, ROOT / LOGITS_FILE

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float64]
Program = Callable[[Path, Path, Sequence[int]], bytes]  # model, pixels, sizes -> the answer, see `runners`


class RuntimeMissingError(Exception):
    """A runtime is not here; the text says in one line what is needed."""


class RuntimeFailedError(Exception):
    """A runtime does not take the model; the text is its own."""


@dataclass(frozen=True)
class Answers:
    """What a runtime said: for each batch size logits and probabilities, float64 [N,classes]."""

    version: str
    outputs: Mapping[int, tuple[Scores, Scores]]


@dataclass(frozen=True)
class Verdict:
    """How far a runtime is from the reference, over all batch sizes; NaN where it gave one."""

    logits: float
    probabilities: float
    mismatches: int  # images whose largest logit is another one, in any batch size

    def within(self, tolerance: float) -> bool:
        """No other label, and no |difference| above the tolerance."""
        return self.mismatches == 0 and self.logits <= tolerance and self.probabilities <= tolerance


def in_python(
    kind: str, environment: PythonEnvironment | None, model: Path, pixels: Path, sizes: Sequence[int]
) -> bytes:
    """Answer in Python, in an environment of its own or in this one."""
    if environment is not None:
        check_made(environment)
    python = sys.executable if environment is None else environment.python
    return _run_program([str(python), str(RUNNERS / "in_python.py"), kind], model, pixels, sizes)


def in_node(model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
    """Answer in Node."""
    node = find_command("node")
    check_made(JAVASCRIPT)
    return _run_program([node, str(RUNNERS / "in_node.mjs")], model, pixels, sizes)


def in_browser(model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
    """Answer in a headless Chromium."""
    browser = find_chromium()
    files = web_files() | {"model.onnx": model.read_bytes(), "pixels": pixels.read_bytes()}
    for name in ("in_browser.html", "answer.mjs"):
        files[name] = (RUNNERS / name).read_bytes()
    try:
        return post_from(f"in_browser.html?{','.join(map(str, sizes))}", files, browser=browser)
    except BrowserError as error:
        raise RuntimeFailedError(str(error)) from error


def in_cpp(model: Path, pixels: Path, sizes: Sequence[int]) -> bytes:
    """Answer in OpenCV from C++."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "in_opencv"
        compile_cpp(RUNNERS / "in_opencv.cpp", program)
        return _run_program([str(program)], model, pixels, sizes)


RUNTIMES: Mapping[str, Program] = {
    "onnxruntime, the newest": partial(in_python, "onnxruntime", None),
    "onnxruntime, the oldest for this Python": partial(in_python, "onnxruntime", OLDEST_ONNXRUNTIME),
    "ONNX's reference evaluator": partial(in_python, "reference", None),
    "OpenCV 5 dnn, Python": partial(in_python, "opencv", OPENCV_5),
    "OpenCV 4 dnn, Python": partial(in_python, "opencv", OPENCV_4),
    "OpenCV dnn, C++": in_cpp,
    "OpenVINO": partial(in_python, "openvino", OPENVINO),
    "onnxruntime-node": in_node,
    "onnxruntime-web": in_browser,
}


def web_files() -> dict[str, bytes]:
    """Return by name what a page needs of onnxruntime-web."""
    check_made(JAVASCRIPT)
    folder = RUNNERS / "node_modules/onnxruntime-web/dist"
    return {name: (folder / name).read_bytes() for name in WEB_FILES}


def find_chromium() -> str:
    """Return the command, or raise `RuntimeMissingError`."""
    if (found := find_browser()) is None:
        msg = "there is no Chromium here"
        raise RuntimeMissingError(msg)
    return found


def find_command(name: str) -> str:
    """Return its path, or raise `RuntimeMissingError`."""
    if (found := shutil.which(name)) is None:
        msg = f"there is no {name} here"
        raise RuntimeMissingError(msg)
    return found


def find_opencv_compiler() -> list[str]:
    """Return g++ with the flags for the OpenCV of the system, which Debian has in `libopencv-dnn-dev`."""
    command = [find_command("g++"), "-std=c++17", "-I/usr/include/opencv4"]
    headers = [*command, "-x", "c++", "-E", "-include", "opencv2/dnn.hpp", "/dev/null"]
    if subprocess.run(headers, capture_output=True, check=False).returncode:
        msg = "the headers of OpenCV are missing: install libopencv-dnn-dev"
        raise RuntimeMissingError(msg)
    return command


def compile_cpp(source: Path, program: Path) -> None:
    """Compile a program that uses OpenCV."""
    _run([*find_opencv_compiler(), str(source), "-o", str(program), "-lopencv_dnn", "-lopencv_core"])


def check_made(environment: PythonEnvironment | NodeEnvironment) -> None:
    """Raise `RuntimeMissingError` where the environment is not there."""
    if not environment.ready():
        msg = f"the environment {environment.name} is not made: run `python -m benchmarks.environments`"
        raise RuntimeMissingError(msg)


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


def ask(program: Program, model: Path, images: Pixels, sizes: Sequence[int] = BATCH_SIZES) -> Answers:
    """Run images uint8 [N,1,28,28] in a runtime.

    Raises:
        RuntimeMissingError: it is not here.
        RuntimeFailedError: it does not take the model, or not all images in all batch sizes.

    """
    with tempfile.TemporaryDirectory() as folder:
        pixels = Path(folder) / "pixels"
        pixels.write_bytes(images.tobytes())
        version, _, numbers = program(model, pixels, sizes).partition(b"\n")
    try:
        scores = np.frombuffer(numbers, "<f4").astype(np.float64).reshape(len(sizes), 2, len(images), -1)
    except ValueError as error:
        msg = f"{len(numbers)} bytes came; {len(images)} images, {len(sizes)} times, have another number of scores"
        raise RuntimeFailedError(msg) from error
    return Answers(version.decode(), {size: (pair[0], pair[1]) for size, pair in zip(sizes, scores, strict=True)})


def work_out(model: Path, images: Pixels) -> tuple[Scores, Scores]:
    """Return logits and probabilities, float64 [N,classes], of the model's graph with every float made a double."""
    wide = onnx.load(model)
    for tensor in [*wide.graph.initializer, *(item.t for node in wide.graph.node for item in node.attribute)]:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for node in wide.graph.node:
        for item in node.attribute:
            if (node.op_type, item.name, item.i) == ("Cast", "to", TensorProto.FLOAT):
                item.i = TensorProto.DOUBLE
    logits, probabilities = ReferenceEvaluator(wide).run(["logits", "probabilities"], {"image": images})
    return np.asarray(logits), np.asarray(probabilities)


def draw_images(count: int) -> Pixels:
    """Return pictures uint8 [N,1,28,28]: strokes as a pen draws them; the last three are blank, full, and noise."""
    random = np.random.default_rng(0)
    grid = np.arange(28)
    images = np.zeros((count, 28, 28))
    for image in images[:-3]:
        start, elastic_alpha, end = random.uniform(4, 24, (3, 2))
        for way in np.linspace(0, 1, 30):
            row, column = (1 - way) ** 2 * start + 2 * way * (1 - way) * elastic_alpha + way**2 * end
            distance = np.hypot(grid[:, None] - row, grid - column)
            np.maximum(image, 255 * np.clip(2 - distance, 0, 1), out=image)
    images[-2], images[-1] = 255, random.integers(0, 256, (28, 28))
    return images.astype(np.uint8)[:, None]


def judge(answers: Answers, logits: Scores, probabilities: Scores) -> Verdict:
    """Compare what a runtime said with the reference."""
    outputs = answers.outputs.values()
    differs = [given.argmax(axis=1) != logits.argmax(axis=1) for given, _ in outputs]
    return Verdict(
        logits=float(np.max([np.abs(given - logits).max() for given, _ in outputs])),
        probabilities=float(np.max([np.abs(given - probabilities).max() for _, given in outputs])),
        mismatches=int(np.any(differs, axis=0).sum()),
    )


def main() -> None:
    """Run everything, print the table."""
    parser = argparse.ArgumentParser(description="The model in every runtime: the same answers?")
    parser.add_argument("--model", type=Path, default=MODEL, help="default: the one in the package")
    parser.add_argument("--images", type=int, default=10_000, help="at most so many test images; default: %(default)s")
    arguments = parser.parse_args()

    sets = {"made-up": (drawn := draw_images(1000), *work_out(arguments.model, drawn))}
    if IMAGES.exists() and LOGITS.exists():
        real = load_file(IMAGES)["images"][: arguments.images]
        trained = load_file(LOGITS)["logits"][: arguments.images].astype(np.float64)
        sets["test"] = (real, trained, work_out(arguments.model, real)[1])
    tolerance = read_sections((ROOT / "params.yaml").read_text(encoding="utf-8"))["export"]["tolerance"]
    columns = ("runtime", "version", "batch sizes", *(f"logits, {key}" for key in sets), "probabilities", "other label")
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    passed = True
    for name, program in tqdm(RUNTIMES.items(), desc="runtimes", disable=None, leave=False):
        try:
            answers = {key: ask(program, arguments.model, images) for key, (images, _, _) in sets.items()}
        except (RuntimeMissingError, RuntimeFailedError) as error:
            passed = passed and isinstance(error, RuntimeMissingError)
            tqdm.write(f"| {name} | not run: {error} |{' |' * (len(columns) - 2)}")
            continue
        verdicts = [judge(answers[key], logits, probabilities) for key, (_, logits, probabilities) in sets.items()]
        passed = passed and all(verdict.within(tolerance) for verdict in verdicts)
        tqdm.write(write_row(name, next(iter(answers.values())).version, verdicts))
    counts = " and ".join(f"{len(images):,} {key} images" for key, (images, _, _) in sets.items())
    print(f"\nLargest |difference| over {counts}, each in every batch size.")
    sys.exit(not passed)


def write_row(name: str, version: str, verdicts: Sequence[Verdict]) -> str:
    """Return the table's row of a runtime: a verdict for each set of images."""
    logits = (f"{verdict.logits:.1e}" for verdict in verdicts)
    probabilities = f"{max(verdict.probabilities for verdict in verdicts):.1e}"
    mismatches = str(sum(verdict.mismatches for verdict in verdicts))
    sizes = ", ".join(map(str, BATCH_SIZES))
    return f"| {' | '.join((name, version, sizes, *logits, probabilities, mismatches))} |"


if __name__ == "__main__":
    main()
