"""Digits drawn by code: in every style, the same for the same seed, as a model sees people's pictures."""

import numpy as np
import pytest
import torch

from stages.data import DatasetInfo
from stages.drawn.digits import DIGITS, DrawnDigits, curve, load_styles
from stages.drawn.pages import draw_strokes, read_again

MNIST = DatasetInfo(name="MNIST", labels=DIGITS, shape=(1, 28, 28), centred=True, sha256={})


def test_every_digit_has_styles_whose_masters_correspond() -> None:
    assert {style.digit for style in load_styles()} == set(range(10))
    for style in load_styles():
        assert style.masters.ndim == 3
        assert style.masters.min() >= 0
        assert style.masters.max() <= 100


def test_as_many_of_each_digit_are_drawn_as_asked_for() -> None:
    drawn = DrawnDigits(pictures=3, seed=1).draw(MNIST)
    assert drawn.images.shape == (30, 1, 28, 28)
    assert drawn.labels.bincount().tolist() == [3] * 10


def test_the_same_seed_draws_the_same_digits() -> None:
    first, again, other = (DrawnDigits(pictures=1, seed=seed).draw(MNIST).images for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("change", [{"centred": False}, {"labels": ("T-shirt", "trouser")}])
def test_no_digits_are_drawn_for_a_data_set_of_other_things(change: dict[str, object]) -> None:
    drawn = DrawnDigits(pictures=3, seed=0).draw(MNIST.model_copy(update=change))
    assert drawn.images.shape == (0, 1, 28, 28)


def test_a_curve_goes_through_its_points_and_turns_sharply_only_at_corners() -> None:
    points = np.array([[0.0, 0], [50, 0], [50, 50]])
    for corners, sharpest in ([], 0.3), ([1], np.pi / 2):
        steps = np.diff(curve(points, corners), axis=0)
        steps = steps[np.linalg.norm(steps, axis=1) > 1e-9]
        turns = np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))))
        assert turns.max() == pytest.approx(sharpest, abs=0.2)


def test_a_page_is_as_wide_as_its_strokes() -> None:
    random = np.random.default_rng(0)
    wide = draw_strokes([np.array([[0.0, 0], [500, 0], [500, 50]])], random)
    assert wide.shape[1] > wide.shape[0]
    assert wide.min() == 0
    assert wide.max() == 255


def test_an_image_that_is_read_again_stays_the_same_digit() -> None:
    ring = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    ring[..., 6:22, 8:20] = 255
    ring[..., 9:19, 11:17] = 0
    (again,) = read_again(ring, MNIST, np.random.default_rng(0))
    assert again.shape == (1, 28, 28)
    assert again[0, 14, 14] == 0
    assert float(again.float().mean()) == pytest.approx(float(ring.float().mean()), rel=0.3)


def test_images_in_which_nothing_is_found_are_not_read_again() -> None:
    assert len(read_again(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), MNIST, np.random.default_rng(0))) == 0
