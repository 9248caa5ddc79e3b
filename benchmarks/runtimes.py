"""The model in every runtime that people load it into: does each give the same answers?

    python -m benchmarks.environments && python -m benchmarks.runtimes [--images 10000] [--model FILE]

Prints a Markdown table. Each runtime gets all images in each batch size. Logits of test images are compared with
those that PyTorch wrote; everything else with the same graph worked out in 64 bits, which no runtime's rounding
touches. Without the data of `dvc repro` only the made-up images are run. Exit code 1 where a runtime differs.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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

from benchmarks import at_least_1
from benchmarks.environments import ROOT
from benchmarks.launch import RUNTIMES, Program, RuntimeFailedError, RuntimeMissingError
from stages.config import read_sections
from stages.io import LOGITS_FILE, MODEL_FILE, TEST_FILE

BATCH_SIZES = (1, 2, 7, 64)
MODEL, IMAGES, LOGITS = ROOT / MODEL_FILE, ROOT / TEST_FILE, ROOT / LOGITS_FILE

Pixels = npt.NDArray[np.uint8]
Scores = npt.NDArray[np.float64]


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
        raise RuntimeFailedError(
            f"{len(numbers)} bytes came; {len(images)} images, {len(sizes)} times, have another number of scores"
        ) from error
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


def compare(answers: Answers, logits: Scores, probabilities: Scores) -> Verdict:
    """Compare what a runtime said with the reference."""
    outputs = answers.outputs.values()
    differs = [given.argmax(axis=1) != logits.argmax(axis=1) for given, _ in outputs]
    return Verdict(
        logits=float(np.max([np.abs(given - logits).max() for given, _ in outputs])),
        probabilities=float(np.max([np.abs(given - probabilities).max() for _, given in outputs])),
        mismatches=int(np.any(differs, axis=0).sum()),
    )


def try_to_ask(
    program: Program, *, model: Path, sets: Sequence[Pixels]
) -> list[Answers] | RuntimeMissingError | RuntimeFailedError:
    """Return a program's answers to each set of images, or why there are none."""
    try:
        return [ask(program, model, images) for images in sets]
    except (RuntimeMissingError, RuntimeFailedError) as error:
        return error


def main() -> None:
    """Run everything, print the table."""
    parser = argparse.ArgumentParser(description="The model in every runtime: the same answers?")
    parser.add_argument("--model", type=Path, default=MODEL, help="default: the one in the package")
    parser.add_argument(
        "--images", type=at_least_1, default=10_000, help="of the test set, at most; default: %(default)s"
    )
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
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # no speed is measured
        ask_all = partial(try_to_ask, model=arguments.model, sets=[images for images, _, _ in sets.values()])
        replies = pool.map(ask_all, RUNTIMES.values())
        bar = tqdm(replies, "runtimes", len(RUNTIMES), leave=False, disable=None)
        for name, answers in zip(RUNTIMES, bar, strict=True):
            if isinstance(answers, Exception):
                passed = passed and isinstance(answers, RuntimeMissingError)
                tqdm.write(f"| {name} | not run: {answers} |{' |' * (len(columns) - 2)}")
                continue
            verdicts = [compare(answer, *wanted) for answer, (_, *wanted) in zip(answers, sets.values(), strict=True)]
            passed = passed and all(verdict.within(tolerance) for verdict in verdicts)
            tqdm.write(write_row(name, answers[0].version, verdicts))
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
