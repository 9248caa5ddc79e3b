"""Stage `calibrate`: a temperature and a threshold for the trained model, fitted on digits that it did not learn from.

Dividing the logits by the temperature turns the model's probabilities into the frequencies of right answers. The model
abstains from an image where

    confidence = P(a digit, by the detector) x P(the predicted class, if it is a digit)

is below the threshold. The temperature is fitted on the held-out images; the threshold on digits that were read as
people's pictures are, held-out images from enlarged pages and drawn ones. No choice here depends on the test set.
"""

from math import exp

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from stages.config import Count, Section, Share, load_params
from stages.data import Data, load_dataset_info, load_training
from stages.drawn.digits import DrawnDigits
from stages.drawn.pages import read_again
from stages.io import CALIBRATION_FILE, atomic_write, run
from stages.models import Model, load_model
from stages.models.calibration import Calibration, confidence
from stages.models.detector import load_detector
from stages.models.inference import predict


class Calibrate(Section):
    """How the threshold is fitted.

    Attributes:
        max_false_rejection_rate: the share of digits that the model may abstain from.
        pages: held-out images that are read again from a page.
        drawn_digits: drawn with another seed than those that are learned from.

    """

    max_false_rejection_rate: Share
    pages: Count
    drawn_digits: DrawnDigits


class Params(Section):
    """What the stage uses."""

    data: Data
    model: Model
    calibrate: Calibrate


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


def fit_threshold(confidences: Tensor, *, max_false_rejection_rate: float) -> float:
    """Return the largest threshold that rejects at most a given share of digits with these confidences, float [N]."""
    return float(confidences.sort().values[int(max_false_rejection_rate * (len(confidences) - 1))])


def main() -> None:
    """Write `models/calibration.json`."""
    params, info = load_params(Params), load_dataset_info()
    model, detector = load_model(params.model, info), load_detector(info.shape)
    _, validation = load_training(info, params.data)
    temperature = fit_temperature(predict(model, validation.images), validation.labels)
    drawn = params.calibrate.drawn_digits
    pages = read_again(validation.images[: params.calibrate.pages], info, np.random.default_rng(drawn.seed))
    digits = torch.cat([pages, drawn.draw(info).images])  # nothing was learned from them
    confidences = confidence(predict(model, digits), predict(detector, digits), temperature=temperature)
    threshold = fit_threshold(confidences, max_false_rejection_rate=params.calibrate.max_false_rejection_rate)
    calibration = Calibration(temperature=temperature, confidence_threshold=threshold)
    atomic_write(CALIBRATION_FILE, (calibration.model_dump_json(indent=2) + "\n").encode())
    print(f"temperature {temperature:.3f}, confidence threshold {threshold:.3f}")


if __name__ == "__main__":
    run(main)
