"""The metrics, each against an independent computation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.metrics import diagnose, expected_calibration_error, recalls, reliability, wilson_interval


@settings(deadline=None)  # the first call imports SciPy
@given(total=st.integers(1, 20_000), share=st.floats(0, 1))
def test_the_wilson_interval_ends_where_the_score_test_rejects(total: int, share: float) -> None:
    correct = round(share * total)
    observed = correct / total
    for bound in wilson_interval(correct, total):
        assert -1e-12 <= bound <= 1 + 1e-12
        score = (observed - bound) ** 2 - 1.959963984540054**2 * bound * (1 - bound) / total
        assert score == pytest.approx(0, abs=1e-9)


def test_the_wilson_interval_of_a_published_example() -> None:
    # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I: 81 of 263
    low, high = wilson_interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_the_calibration_error_agrees_with_a_plain_loop() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(10) * 0.3, 500)
    labels = random.integers(0, 10, 500)
    expected = 0.0
    for lower in np.arange(15) / 15:
        confidence = probabilities.max(axis=1)
        inside = (confidence > lower) & (confidence <= lower + 1 / 15)
        if inside.any():
            right = probabilities[inside].argmax(axis=1) == labels[inside]
            expected += abs(confidence[inside].mean() - right.mean()) * inside.mean()
    diagram = reliability(torch.from_numpy(probabilities), torch.from_numpy(labels), bins=15)
    assert sum(group.images for group in diagram) == 500
    assert expected_calibration_error(diagram) == pytest.approx(expected)


def test_a_model_that_is_right_as_often_as_it_says_has_no_calibration_error() -> None:
    probabilities = torch.tensor([[0.75, 0.25]] * 4)
    diagram = reliability(probabilities, torch.tensor([0, 0, 0, 1]), bins=10)
    assert expected_calibration_error(diagram) == pytest.approx(0)


def test_certain_predictions_fall_into_the_last_bin() -> None:
    assert [group.images for group in reliability(torch.eye(3), torch.arange(3), bins=5)] == [3]


def test_recall_is_counted_class_by_class() -> None:
    guesses, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 1])
    first, second, absent = recalls(guesses, labels, classes=3)
    assert first == 1.0
    assert second == pytest.approx(2 / 3)
    assert math.isnan(absent)


@pytest.mark.parametrize(
    ("train", "test", "word"),
    [(0.985, 0.974, "learned"), (0.90, 0.89, "underfitting"), (1.0, 0.96, "overfitting"), (0.95, 0.92, "learned")],
)
def test_the_diagnosis_weighs_both_accuracies(train: float, test: float, word: str) -> None:
    verdict, sentence = diagnose(train, test, learned=0.95, largest_gap=0.031, blind=0.1)
    assert verdict == word
    assert f"{train:.2%} on the training images, {test:.2%} on the test images" in sentence
