"""What every stage shares: where files are, how a stage fails, and how it writes."""

import sys
from collections.abc import Callable
from pathlib import Path

TRAIN_FILE = Path("data/train.safetensors")
TEST_FILE = Path("data/test.safetensors")
FACTS_FILE = Path("data/dataset.json")
WEIGHTS_FILE = Path("models/weights.safetensors")
GATE_FILE = Path("models/gate.safetensors")
CALIBRATION_FILE = Path("models/calibration.json")
METRICS_FILE = Path("metrics.json")
LOGITS_FILE = Path("reports/test_logits.safetensors")
MODEL_FILE = Path("serving/mnist_serving/model.onnx")
REPORTS = Path("reports")


class StageError(Exception):
    """Something a person can mend; its text says what is wrong and what to do."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; a StageError or a failed file operation ends it in one line, exit code 1."""
    try:
        main()
    except (StageError, OSError) as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: error: {error}")


def write_whole(path: Path, content: bytes) -> None:
    """Write the file whole or not at all: under a temporary name first, then renamed.

    A kill in between leaves at most `<name>.tmp`, which the next run overwrites.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
