"""The metrics of an evaluation: pure functions from logits and labels to numbers."""

from typing import NamedTuple

import torch
from torch import Tensor


class Bin(NamedTuple):
    """A bin of the reliability diagram: means over its `images`, shares of 1."""

    confidence: float
    accuracy: float
    images: int


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion, as shares of 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    JASA 22 (1927).
    """
    from scipy.stats import binomtest

    return tuple(binomtest(correct, total).proportion_ci(method="wilson"))


def reliability(probabilities: Tensor, labels: Tensor, *, bins: int) -> list[Bin]:
    """Group images by the probability of their prediction, into bins of equal width without the empty ones.

    Args:
        probabilities: float [N,classes], rows that sum to 1.
        labels: int64 [N].
        bins: how many the interval (0, 1] is cut into.

    """
    confidence, guess = probabilities.double().max(dim=1)
    right = (guess == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    members = [place == number for number in range(bins)]
    return [
        Bin(confidence[rows].mean().item(), right[rows].mean().item(), int(rows.sum()))
        for rows in members
        if rows.any()
    ]


def expected_calibration_error(diagram: list[Bin]) -> float:
    """Return the mean |confidence - accuracy| of the bins, weighted by their images.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017, equation 3.
    """
    total = sum(group.images for group in diagram)
    return sum(group.images * abs(group.confidence - group.accuracy) for group in diagram) / total


def recalls(guesses: Tensor, labels: Tensor, *, classes: int) -> list[float]:
    """Return each class's recall, the share of its images that were recognised; NaN for a class without images."""
    hits = torch.bincount(labels[guesses == labels], minlength=classes)
    return (hits / torch.bincount(labels, minlength=classes)).tolist()


def diagnose(
    train_accuracy: float, test_accuracy: float, *, learned: float, largest_gap: float, blind: float
) -> tuple[str, str]:
    """Return a diagnosis of the two accuracies, one word and the sentence that explains it.

    Args:
        train_accuracy: on the images that the model learned from.
        test_accuracy: on images that it has never seen.
        learned: the training accuracy below which the model underfits.
        largest_gap: the difference of the two above which it overfits.
        blind: the accuracy of always giving the commonest answer.

    """
    gap = train_accuracy - test_accuracy
    numbers = f"{train_accuracy:.2%} on the training images, {test_accuracy:.2%} on the test images"
    if train_accuracy < min(learned, (1 + blind) / 2):
        remedy = "do the pictures show what their labels say? Then try another learning rate or model"
        return "underfitting", f"{numbers}, {blind:.0%} for always giving the commonest answer: {remedy}"
    if train_accuracy < learned:
        return "underfitting", f"{numbers}: below {learned:.0%} on its own examples; train longer or use a larger model"
    if gap > largest_gap:
        remedy = "more data (`data.augment` makes some), or less model or training"
        return "overfitting", f"{numbers}: a gap of more than {largest_gap:.0%}; {remedy}"
    return "learned", f"{numbers}: both high and close together; what it learned carries over to new images"
