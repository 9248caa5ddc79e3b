"""Knowing what is no digit: the drawings, the detector, and the two numbers fitted on held-out images."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from stages.abstain.calibrate import (
    Calibration,
    confidence,
    fit_temperature,
    fit_threshold,
    load_calibration,
    save_calibration,
)
from stages.abstain.detector import Detector, detector_examples, fit_detector, to_inputs
from stages.abstain.ood_images import REPORTED, TRAINED, as_shape, draw, jumble, redraw
from stages.abstain.strokes import FIGURES, NOISES
from stages.config import Section, load_params
from stages.data import Shape, Split, scale
from stages.evaluate import UNSEEN_FONTS
from stages.inference import predict
from stages.io import StageError
from stages.models.detector import build_detector
from tests.conftest import ROOT, make_digits


class DetectorParams(Section):
    """The detector's section alone."""

    detector: Detector


@pytest.mark.parametrize("kind", [*FIGURES, *NOISES, "letters"])
def test_every_kind_is_drawn_by_its_seed_alone(kind: str) -> None:
    pictures = draw(kind, 5, seed=3)
    assert pictures.shape == (5, 1, 28, 28)
    assert pictures.dtype == torch.uint8
    assert torch.equal(pictures, draw(kind, 5, seed=3))
    assert kind == "blank" or not torch.equal(pictures, draw(kind, 5, seed=4))


@pytest.mark.parametrize("kind", [*FIGURES, "letters"])
def test_figures_lie_where_mnist_puts_its_digits(kind: str) -> None:
    for picture in draw(kind, 20, seed=0, fonts=UNSEEN_FONTS)[:, 0]:
        rows, columns = (picture > 0).nonzero().unbind(dim=1)
        assert max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) <= 19
        weights = picture.double()
        centre = (weights.sum(dim=1) @ (torch.arange(28.0).double() + 0.5)) / weights.sum()
        assert 9 <= centre <= 19


def test_no_figure_that_is_reported_is_trained_on() -> None:
    reported = {kind for kinds in REPORTED.values() for kind in kinds} - {"letters"}  # those are of other fonts
    assert not reported & set(TRAINED)


def test_redrawn_and_jumbled_pictures_keep_shape_and_type() -> None:
    images, labels = make_digits(40, seed=0)
    digits = Split(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long())
    for changed in (redraw(digits.images, seed=1), jumble(*digits, seed=1)):
        assert changed.shape == digits.images.shape
        assert changed.dtype == torch.uint8
        assert not torch.equal(changed, digits.images)


def test_the_gate_learns_to_tell_digits_from_scribbles_that_it_never_saw() -> None:
    images, labels = make_digits(400, seed=0)
    digits = Split(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long())
    params = load_params(DetectorParams, path=ROOT / "params.yaml").detector
    detector = fit_detector(detector_examples(digits, centred=True, pictures=20, seed=0), digits.shape, params)
    assert predict(detector, torch.from_numpy(make_digits(100, seed=1)[0]).unsqueeze(1)).median() > 0
    assert predict(detector, draw("scribbles", 100, seed=0)).median() < 0


def test_the_temperature_is_where_the_loss_is_least() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 10, generator=generator) * 3
    labels = torch.distributions.Categorical(logits=logits / 2.5).sample()
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(2.5, rel=0.2)
    loss = partial(cross_entropy, target=labels, label_smoothing=1 / (10 * 502))
    losses = [loss(logits.double() / (fitted * factor)).item() for factor in (0.999, 1, 1.001)]
    assert min(losses) == losses[1]


def test_the_temperature_of_a_model_that_is_always_right_is_not_zero() -> None:
    logits = 5 * torch.eye(10).repeat(3, 1)
    fitted = fit_temperature(logits, torch.arange(10).repeat(3))
    sure = (logits / fitted).softmax(dim=1).amax(dim=1)
    torch.testing.assert_close(sure, torch.full((30,), 1 - 0.9 / (10 * 32)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 21, 30)])
def test_brought_to_inputs_in_pieces_pictures_are_what_the_gate_makes_of_them_at_once(shape: Shape) -> None:
    figures = draw("stars", 12, seed=0).repeat(100, 1, 1, 1)
    own = torch.randint(0, 256, (7, *shape), dtype=torch.uint8)
    detector = build_detector(shape, hidden=3)
    at_once = detector[:2](scale(torch.cat([own, as_shape(figures, shape)])))
    assert torch.equal(to_inputs([own, figures], shape), at_once)


def test_confidence_is_the_product_of_both_networks_probabilities() -> None:
    logits, detector_logits = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0]])
    expected = 0.5 * torch.tensor([[1.0, 0.0]]).softmax(dim=1).max()
    torch.testing.assert_close(confidence(logits, detector_logits, temperature=2.0), expected[None])


@pytest.mark.parametrize("total", [100, 5_000])
def test_the_threshold_costs_no_more_digits_than_it_may(total: int) -> None:
    confidences = torch.linspace(0, 1, total)
    refused = int((confidences < fit_threshold(confidences, max_false_rejection_rate=0.01)).sum())
    assert refused <= 0.01 * total
    assert refused > 0.005 * total or total == 100  # of so few none can be spared with certainty


@pytest.mark.parametrize(
    "text", ["", "{}", '{"temperature": 0, "confidence_threshold": 0.5}', "[1]", '{"temperature": "x"}']
)
def test_a_damaged_calibration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(path, Calibration(1.25, 0.5))
    assert load_calibration(path) == Calibration(1.25, 0.5)
    path.write_text(text)
    with pytest.raises(StageError, match=r"calibration\.json is (missing or )?damaged"):
        load_calibration(path)
