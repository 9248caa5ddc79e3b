"""What the package costs on top of onnxruntime, in one run: ratios of `Classifier` to a bare session.

    python -m benchmarks.inference [--rounds 15]

The two take turns; a ratio is the median of the rounds' ratios, with their range.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from mnist_serving import Classifier
from mnist_serving.classifier import PACKAGED_MODEL, open_session
from mnist_serving.metadata import OUTPUTS
from tqdm import trange

from benchmarks import at_least_1

PACKAGE = Path(__file__).parents[1] / "serving"


def seconds(action: Callable[[], object], repeat: int) -> float:
    """Return the seconds that one call takes, as the mean of some."""
    start = time.perf_counter()
    for _ in range(repeat):
        action()
    return (time.perf_counter() - start) / repeat


def start(code: str) -> None:
    """Run code in a new interpreter."""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the package costs on top of onnxruntime.")
    parser.add_argument(
        "--rounds", type=at_least_1, default=15, help="how often each is measured; default: %(default)s"
    )
    rounds = parser.parse_args().rounds
    session = open_session(PACKAGED_MODEL.read_bytes(), name=str(PACKAGED_MODEL))
    classifier = Classifier()
    images = np.random.default_rng(0).integers(0, 256, (10_000, 1, 28, 28)).astype(np.uint8)
    one = images[:1]
    start("from mnist_serving import Classifier; Classifier()")  # so that the bytecode is there

    # What is measured, in units of a second, its rival, and how often a round repeats both.
    pairs: dict[str, tuple[float, str, Callable[[], object], Callable[[], object], int]] = {
        "`predict`, one image, against `session.run`": (
            1e6, "µs", lambda: classifier.predict(one), lambda: session.run(OUTPUTS, {"image": one}), 2000,
        ),
        "`predict`, 10,000 images, against `session.run`": (
            1e3, "ms", lambda: classifier.predict(images), lambda: session.run(OUTPUTS, {"image": images}), 3,
        ),
        "`Classifier()` in a new Python, against `import onnxruntime`": (
            1e3,
            "ms",
            lambda: start("from mnist_serving import Classifier; Classifier()"),
            lambda: start("import onnxruntime"),
            1,
        ),
    }  # fmt: skip
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for _ in trange(rounds, desc="rounds", disable=None, leave=False):
        for name, (_, _, ours, rival, repeat) in pairs.items():
            times[name].append((seconds(ours, repeat), seconds(rival, repeat)))

    print("| what | ours | the rival | ratio |\n| --- | --- | --- | --- |")
    for name, (unit, symbol, *_) in pairs.items():
        ours, rivals = (statistics.median(column) * unit for column in zip(*times[name], strict=True))
        ratios = [mine / theirs for mine, theirs in times[name]]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"| {name} | {ours:.1f} {symbol} | {rivals:.1f} {symbol} | {spread} |")
    print(
        f"\nn = {rounds}, medians and ranges; one thread, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}"
    )


if __name__ == "__main__":
    main()
