"""Stage `calibrate`: a temperature and a threshold for the trained model, fitted on the held-out images.

Dividing the logits by the temperature turns the model's probabilities into the frequencies of right answers. The model
abstains from an image where

    confidence = P(a digit, by the detector) x P(the predicted class, if it is a digit)

is below the threshold. No choice here depends on the test set.
"""

from math import exp
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from torch import Tensor
from torch.nn.functional import cross_entropy

from stages.config import Section, Share, load_params
from stages.data import Data, load_dataset_info, load_split, train_val_split
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
from stages.models import KIND, Model
from stages.models.detector import load_detector
from stages.models.inference import load_weights, predict


class Calibrate(Section):
    """The share of held-out images that the model may reject though they are digits."""

    max_false_rejection_rate: Share


class Params(Section):
    """What the stage uses."""

    data: Data
    model: Model
    calibrate: Calibrate


class Calibration(Section):
    """Logits are divided by `temperature` before the softmax; below `confidence_threshold` the model abstains."""

    temperature: Annotated[float, Field(gt=0)]
    confidence_threshold: Annotated[float, Field(ge=0, le=1)]


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
    """Return the probability that each prediction is right: float [N,classes] and [N,1] -> [N]."""
    return detector_logits.sigmoid()[:, 0] * (logits / temperature).softmax(dim=1).amax(dim=1)


def fit_threshold(confidences: Tensor, *, max_false_rejection_rate: float) -> float:
    """Return the largest threshold that rejects at most a given share of digits, of which these are a sample [N].

    The upper end of the 95 % Wilson interval of the share that it rejects is at most `max_false_rejection_rate`.
    """
    from scipy.stats import binomtest

    total, rejected = len(confidences), 0
    while (
        rejected < total - 1
        and binomtest(rejected + 1, total).proportion_ci(method="wilson").high <= max_false_rejection_rate
    ):
        rejected += 1
    return float(confidences.sort().values[rejected])


def load_calibration(path: Path) -> Calibration:
    """Read the file that the stage writes.

    Raises:
        StageError: the file is missing or damaged.

    """
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        msg = f"{path} is missing or damaged ({' '.join(str(error).split())}): delete it and run `dvc repro`"
        raise StageError(msg) from error


def main() -> None:
    """Write `models/calibration.json`."""
    params, info = load_params(Params), load_dataset_info(DATASET_FILE)
    model = load_weights(params.model.build(info.shape, len(info.labels)), WEIGHTS_FILE, KIND)
    detector = load_detector(DETECTOR_FILE, info.shape)
    everything = load_split(TRAIN_FILE, info)
    _, validation = train_val_split(everything, validation=params.data.validation, seed=params.data.split_seed)
    logits, detector_logits = predict(model, validation.images), predict(detector, validation.images)
    temperature = fit_temperature(logits, validation.labels)
    confidences = confidence(logits, detector_logits, temperature=temperature)
    threshold = fit_threshold(confidences, max_false_rejection_rate=params.calibrate.max_false_rejection_rate)
    calibration = Calibration(temperature=temperature, confidence_threshold=threshold)
    atomic_write(CALIBRATION_FILE, (calibration.model_dump_json(indent=2) + "\n").encode())
    print(f"temperature {temperature:.3f}, confidence threshold {threshold:.3f}")


if __name__ == "__main__":
    run(main)
