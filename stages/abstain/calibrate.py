"""Stage `calibrate`: a temperature and a threshold for the trained model, fitted on the held-out images.

The temperature makes its probabilities mean what they say. The threshold tells when to abstain: where

    confidence = P(it is a digit at all, by the detector) x P(the guess, if it is one)

is below it. Both are chosen on the validation split; the test set only hears of them.
"""

import json
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from stages.config import Section, Share, load_params
from stages.data import Data, load_dataset_info, load_split, train_val_split
from stages.inference import load_weights, predict
from stages.io import (
    CALIBRATION_FILE,
    DATASET_FILE,
    DETECTOR_FILE,
    TRAIN_FILE,
    WEIGHTS_FILE,
    StageError,
    atomic_write,
    run,
)
from stages.metrics import wilson_interval
from stages.models import KIND, Model
from stages.models.detector import load_detector

BISECTIONS = 60  # halvings of an interval a thousand wide: past float32's precision


class Calibrate(Section):
    """The share of held-out images that the model may reject though they are digits."""

    max_false_rejection_rate: Share


class Params(Section):
    """What the stage uses."""

    data: Data
    model: Model
    calibrate: Calibrate


class Calibration(NamedTuple):
    """What `fit_calibration` found: logits are divided by `temperature` before the softmax."""

    temperature: float
    confidence_threshold: float


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that makes the cross-entropy least: logits float [N,classes], labels int64 [N].

    The loss is convex in the inverse temperature, so its slope is halved in on (Guo et al., On
    calibration of modern neural networks, ICML 2017, section 4.2). Of each target one part in classes * (N + 2) is
    spread over all classes, so that where all N are right the temperature is not 0 (after J. Platt, Probabilistic
    outputs for support vector machines, 1999, whose two classes get one in N + 2; with ten, whose lowest logits lie
    far below, that is felt where it is not needed).
    """
    scores = logits.double()
    spread = 1 / (scores.shape[1] * (len(labels) + 2))
    of_labels = (1 - spread) * scores.gather(1, labels[:, None])[:, 0] + spread * scores.mean(dim=1)
    low, high = 1e-3, 1e3
    for _ in range(BISECTIONS):
        middle = (low * high) ** 0.5
        slope = ((scores * middle).softmax(dim=1) * scores).sum(dim=1).mean() - of_labels.mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(1 / (low * high) ** 0.5)


def confidence(logits: Tensor, detector_logits: Tensor, *, temperature: float) -> Tensor:
    """Return how probable it is that each guess is right: float [N,classes] and [N,1] -> [N]."""
    return detector_logits.sigmoid()[:, 0] * (logits / temperature).softmax(dim=1).amax(dim=1)


def fit_threshold(confidences: Tensor, *, max_false_rejection_rate: float) -> float:
    """Return the largest threshold that refuses at most a share of all digits, as far as can be known.

    So many of the N digits are refused that the upper end of the 95 % interval of their share stays
    within `max_false_rejection_rate`; the share of other digits then does too.
    """
    total = len(confidences)
    refused = 0
    while refused < total and wilson_interval(refused + 1, total)[1] <= max_false_rejection_rate:
        refused += 1
    return float(confidences.sort().values[min(refused, total - 1)])


def fit_calibration(
    logits: Tensor, labels: Tensor, detector_logits: Tensor, *, max_false_rejection_rate: float
) -> Calibration:
    """Fit both on the held-out images: logits [N,classes], labels [N], the detector's logits [N,1]."""
    temperature = fit_temperature(logits, labels)
    confidences = confidence(logits, detector_logits, temperature=temperature)
    return Calibration(temperature, fit_threshold(confidences, max_false_rejection_rate=max_false_rejection_rate))


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write it as JSON."""
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


def main() -> None:
    """Write `models/calibration.json`."""
    params, info = load_params(Params), load_dataset_info(DATASET_FILE)
    model = load_weights(params.model.build(info.shape, len(info.labels)), WEIGHTS_FILE, KIND)
    detector = load_detector(DETECTOR_FILE, info.shape)
    everything = load_split(TRAIN_FILE, info)
    _, validation = train_val_split(everything, validation=params.data.validation, seed=params.data.split_seed)
    calibration = fit_calibration(
        predict(model, validation.images),
        validation.labels,
        predict(detector, validation.images),
        max_false_rejection_rate=params.calibrate.max_false_rejection_rate,
    )
    save_calibration(CALIBRATION_FILE, calibration)
    print(f"temperature {calibration.temperature:.3f}, confidence threshold {calibration.confidence_threshold:.3f}")


if __name__ == "__main__":
    run(main)
