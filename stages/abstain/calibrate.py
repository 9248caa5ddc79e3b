"""Stage `calibrate`: a temperature and a threshold for the trained model, fitted on the held-out images.

The temperature makes its probabilities mean what they say. The threshold tells when to abstain: where

    confidence = P(it is a digit at all, by the detector) x P(the guess, if it is one)

is below it. Both are chosen on the validation split; the test set only hears of them.
"""

import json
from math import exp
from pathlib import Path
from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import cross_entropy

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
    """Return the temperature that minimises the cross-entropy: logits float [N,classes], labels int64 [N].

    Source: Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2. The labels are smoothed by
    1 / (classes * (N + 2)), so that the temperature of a model that is always right is not 0 (after J. Platt,
    Probabilistic outputs for support vector machines, 1999, who gives each of two classes 1 / (N + 2)).
    """
    from scipy.optimize import minimize_scalar

    scores = logits.double()
    smoothing = 1 / (scores.shape[1] * (len(labels) + 2))

    def loss(log_temperature: float) -> float:
        return cross_entropy(scores / exp(log_temperature), labels, label_smoothing=smoothing).item()

    found = minimize_scalar(loss, bounds=(-7, 7), options={"xatol": 1e-8})
    return round(exp(found.x), 6)


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
