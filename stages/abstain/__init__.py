"""Knowing when not to answer: the detector, the calibration, and the pictures that the detector learns from.

The model abstains where

    confidence = P(it is a digit at all, by the detector) x P(the guess, if it is a digit)

is below a threshold.
"""

import json
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from stages.io import StageError, atomic_write


class Calibration(NamedTuple):
    """Logits are divided by `temperature` before the softmax; below `confidence_threshold` the model abstains."""

    temperature: float
    confidence_threshold: float


def confidence(logits: Tensor, detector_logits: Tensor, *, temperature: float) -> Tensor:
    """Return the probability that each prediction is right: float [N,classes] and [N,1] -> [N]."""
    return detector_logits.sigmoid()[:, 0] * (logits / temperature).softmax(dim=1).amax(dim=1)


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as JSON."""
    atomic_write(path, (json.dumps(calibration._asdict(), indent=2) + "\n").encode())


def load_calibration(path: Path) -> Calibration:
    """Read what `save_calibration` wrote.

    Raises:
        StageError: the file is missing or damaged.

    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        calibration = Calibration(float(found["temperature"]), float(found["confidence_threshold"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        msg = f"{path} is missing or damaged ({error}): delete it and run `dvc repro`"
        raise StageError(msg) from error
    if not 0 < calibration.temperature < float("inf") or not 0 <= calibration.confidence_threshold <= 1:
        msg = f"{path} is damaged, {calibration}: delete it and run `dvc repro`"
        raise StageError(msg)
    return calibration
