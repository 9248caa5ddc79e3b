"""Box 5, evaluation, and the stage `evaluate`: the verdict on the sealed test set.

Besides `parity`, this is the only stage that reads the test file, and no choice depends on what it finds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from stages.abstain.ood_images import refused_shares
from stages.config import Pictures, Section, Share, load_params
from stages.data import Data, DatasetInfo, Split, load_dataset_info, load_split, load_training
from stages.io import LOGITS_FILE, METRICS_FILE, REPORTS, TEST_FILE, atomic_write, run, save_csv, save_tensors
from stages.metrics import diagnose, expected_calibration_error, recalls, reliability, wilson_interval
from stages.models import Model, load_model
from stages.models.calibration import confidence, load_calibration
from stages.models.detector import load_detector
from stages.models.inference import predict
from stages.plots import draw_mistakes

SEED = 1  # of the pictures that are not digits

Metrics = dict[str, int | float | str]  # scalars, so that `dvc metrics show` shows them all


class Evaluate(Section):
    """Box 5: what the verdict is made of.

    Attributes:
        pictures: drawn of each group that is not a digit.
        calibration_bins: of the calibration error.
        learned_accuracy: the training accuracy below which the model underfits.
        largest_gap: training minus test accuracy above which it overfits.

    """

    pictures: Annotated[Pictures, Field(gt=0)]
    calibration_bins: Annotated[int, Field(gt=0, le=1_000)]
    learned_accuracy: Share
    largest_gap: Share


class Params(Section):
    """What the stage uses."""

    data: Data
    model: Model
    evaluate: Evaluate


def evaluate(
    logits: Tensor, labels: Tensor, *, train_accuracy: float, names: Sequence[str], limits: Evaluate
) -> tuple[Metrics, str]:
    """Return the metrics of the test set, all scalars, and a sentence that interprets them.

    Args:
        logits: float32 [N,classes] of the test images.
        labels: int64 [N].
        train_accuracy: on the images that the model learned from.
        names: the classes' names.
        limits: bins and thresholds.

    """
    guesses = logits.argmax(dim=1)
    total, correct = len(labels), int((guesses == labels).sum())
    accuracy = correct / total
    low, high = wilson_interval(correct, total)
    recall = recalls(guesses, labels, classes=len(names))
    worst = min((place for place in range(len(names)) if not isnan(recall[place])), key=recall.__getitem__)
    verdict, sentence = diagnose(
        train_accuracy,
        accuracy,
        learned=limits.learned_accuracy,
        largest_gap=limits.largest_gap,
        blind=int(torch.bincount(labels).max()) / total,
    )
    return {
        "accuracy": accuracy,
        "accuracy_95_low": low,
        "accuracy_95_high": high,
        "correct": correct,
        "total": total,
        "errors": total - correct,
        "loss": cross_entropy(logits, labels).item(),
        "train_accuracy": train_accuracy,
        "gap": train_accuracy - accuracy,
        "verdict": verdict,
        "worst_class": names[worst],
        "worst_class_recall": recall[worst],
    }, f"{verdict}: {sentence}"


def evaluate_calibration(logits: Tensor, labels: Tensor, *, temperature: float, bins: int) -> Metrics:
    """Return the expected calibration error before and after logits [N,classes] are divided by the temperature."""
    before, after = (
        expected_calibration_error(reliability(scores.softmax(dim=1), labels, bins=bins))
        for scores in (logits, logits / temperature)
    )
    return {
        "temperature": temperature,
        "calibration_error_before": before,
        "calibration_error": after,
        "calibration_bins": bins,
    }


def evaluate_abstention(
    refuses: Callable[[Tensor], Tensor], test: Split, guesses: Tensor, info: DatasetInfo, *, pictures: int
) -> Metrics:
    """Return how often the model abstains: on test digits, and on each group of pictures that are not digits.

    Args:
        refuses: which of some images, uint8 [N,C,H,W], the model abstains from, bool [N].
        test: the test set.
        guesses: int64 [N], the classes it guesses there.
        info: the data set.
        pictures: how many are drawn of each group.

    """
    refused = refuses(test.images)
    answered = int((~refused).sum())
    errors = int(((guesses != test.labels) & ~refused).sum())
    metrics: Metrics = {
        "abstained": refused.double().mean().item(),
        "answered_errors": errors,
        "answered_accuracy": 1 - errors / max(1, answered),
    }
    shares = refused_shares(refuses, pictures, info, seed=SEED)
    return metrics | {f"refused_{group}": share for group, share in shares.items()}


def write_plots(test: Split, logits: Tensor, *, names: Sequence[str], bins: int) -> None:
    """Write the data of `dvc plots show` for calibrated logits [N,classes], and the picture of the mistakes."""
    probabilities = logits.softmax(dim=1)
    pairs = torch.stack([test.labels, logits.argmax(dim=1)], dim=1).tolist()
    save_csv(REPORTS / "confusion.csv", ["actual", "predicted"], ([names[label] for label in pair] for pair in pairs))
    diagram = reliability(probabilities, test.labels, bins=bins)
    rows = ([sure, right, sure, images] for sure, right, images in diagram)
    save_csv(REPORTS / "reliability.csv", ["confidence", "accuracy", "ideal", "images"], rows)
    atomic_write(REPORTS / "mistakes.png", draw_mistakes(*test, probabilities, names))


def _as_report(metrics: Mapping[str, object], sentence: str) -> str:
    rows = "".join(f"| {name} | {value} |\n" for name, value in metrics.items())
    return f"# Verdict\n\n{sentence}.\n\n| metric | value |\n| --- | --- |\n{rows}"


def main() -> None:
    """Write `metrics.json`, the logits of the test set, the report, and the plots."""
    params, info = load_params(Params), load_dataset_info()
    names, calibration = info.labels, load_calibration()
    model, detector = load_model(params.model, info), load_detector(info.shape)
    (training, _), test = load_training(info, params.data), load_split(TEST_FILE, info)

    guesses = predict(model, training.images).argmax(dim=1)
    train_accuracy = (guesses == training.labels).sum().item() / len(training.labels)
    logits = predict(model, test.images)
    metrics, sentence = evaluate(
        logits, test.labels, train_accuracy=train_accuracy, names=names, limits=params.evaluate
    )

    def refuses(images: Tensor) -> Tensor:
        sure = confidence(predict(model, images), predict(detector, images), temperature=calibration.temperature)
        return sure < calibration.confidence_threshold

    temperature, bins = calibration.temperature, params.evaluate.calibration_bins
    metrics |= evaluate_calibration(logits, test.labels, temperature=temperature, bins=bins)
    metrics |= evaluate_abstention(refuses, test, logits.argmax(dim=1), info, pictures=params.evaluate.pictures)
    write_plots(test, logits / temperature, names=names, bins=bins)
    torch_version = torch.__version__.partition("+")[0]  # without the build, which does not change the logits
    save_tensors(LOGITS_FILE, f"logits by torch {torch_version}", {"logits": logits})
    atomic_write(REPORTS / "verdict.md", _as_report(metrics, sentence).encode())
    atomic_write(METRICS_FILE, (json.dumps(metrics, indent=2) + "\n").encode())
    print(f"{metrics['correct']:,} of {metrics['total']:,} test images right\n{sentence}")


if __name__ == "__main__":
    run(main)
