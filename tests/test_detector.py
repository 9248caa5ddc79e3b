"""Telling digits from everything else: the drawings, the detector, and the two numbers fitted on held-out images."""

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
)
from stages.abstain.detector import Detector, detector_examples, fit_detector, to_inputs
from stages.abstain.ood_images import REPORTED, TRAINED, as_shape, draw, jumble, redraw
from stages.abstain.strokes import FIGURES, NOISES
from stages.data import Shape, Split, scale
from stages.evaluate import UNSEEN_FONTS
from stages.io import StageError, save_tensors
from stages.models.detector import KIND, build_detector, load_detector
from stages.models.inference import predict
from tests.conftest import make_digits

PARAMS = Detector(pictures=20, hidden=100, learning_rate=0.004, epochs=6, batch_size=256, seed=0)


@pytest.mark.parametrize("kind", [*FIGURES, *NOISES, "letters"])
def test_every_kind_is_drawn_by_its_seed_alone(kind: str) -> None:
    pictures = draw(kind, 5, seed=3)
    assert pictures.shape == (5, 1, 28, 28)
    assert pictures.dtype == torch.uint8
    assert torch.equal(pictures, draw(kind, 5, seed=3))
    assert kind == "blank" or not torch.equal(pictures, draw(kind, 5, seed=4))


@pytest.mark.parametrize("kind", [*FIGURES, "letters"])
def test_figures_are_framed_as_mnist_frames_its_digits(kind: str) -> None:
    for picture in draw(kind, 20, seed=0, fonts=UNSEEN_FONTS)[:, 0]:
        rows, columns = (picture > 0).nonzero().unbind(dim=1)
        assert max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) <= 19
        weights = picture.double()
        centre = (weights.sum(dim=1) @ (torch.arange(28.0).double() + 0.5)) / weights.sum()
        assert 9 <= centre <= 19


def test_no_kind_of_picture_is_both_trained_on_and_reported() -> None:
    reported = {kind for kinds in REPORTED.values() for kind in kinds} - {"letters"}  # those are of other fonts
    assert not reported & set(TRAINED)


def test_redrawn_and_jumbled_pictures_keep_shape_and_type() -> None:
    images, labels = make_digits(40, seed=0)
    digits = Split(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels).long())
    for changed in (redraw(digits.images, seed=1), jumble(*digits, seed=1)):
        assert changed.shape == digits.images.shape
        assert changed.dtype == torch.uint8
        assert not torch.equal(changed, digits.images)


def test_the_detector_tells_digits_from_scribbles_that_it_has_never_seen() -> None:
    images, names = make_digits(400, seed=0)
    digits = Split(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(names).long())
    inputs, labels = detector_examples(digits, centred=True, pictures=PARAMS.pictures, seed=0)
    detector = fit_detector(inputs, labels, digits.shape, PARAMS)
    assert predict(detector, torch.from_numpy(make_digits(100, seed=1)[0]).unsqueeze(1)).median() > 0
    assert predict(detector, draw("scribbles", 100, seed=0)).median() < 0


def test_the_temperature_minimises_the_loss() -> None:
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
def test_inputs_computed_in_pieces_equal_the_detectors_own_first_layers(shape: Shape) -> None:
    figures = draw("stars", 12, seed=0).repeat(100, 1, 1, 1)
    detector = build_detector(shape, hidden=3)
    assert torch.equal(to_inputs(figures, shape), detector[:2](scale(as_shape(figures, shape))))


def test_confidence_is_the_product_of_both_networks_probabilities() -> None:
    logits, detector_logits = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0]])
    expected = 0.5 * torch.tensor([[1.0, 0.0]]).softmax(dim=1).max()
    torch.testing.assert_close(confidence(logits, detector_logits, temperature=2.0), expected[None])


@pytest.mark.parametrize("total", [100, 5_000])
def test_the_threshold_rejects_no_more_digits_than_allowed(total: int) -> None:
    confidences = torch.linspace(0, 1, total)
    rejected = int((confidences < fit_threshold(confidences, max_false_rejection_rate=0.01)).sum())
    assert rejected <= 0.01 * total
    assert rejected > 0.005 * total or total == 100  # too few to reject any with certainty


@pytest.mark.parametrize(
    "text", ["", "{}", '{"temperature": 0, "confidence_threshold": 0.5}', "[1]", '{"temperature": "x"}']
)
def test_a_damaged_calibration_file_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    calibration = Calibration(temperature=1.25, confidence_threshold=0.5)
    path.write_text(calibration.model_dump_json())
    assert load_calibration(path) == calibration
    path.write_text(text)
    with pytest.raises(StageError, match=r"calibration\.json is (missing or )?damaged"):
        load_calibration(path)


def test_a_detector_is_as_wide_as_its_file_says_and_of_the_shape_it_was_trained_for(tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    detector = build_detector((1, 28, 28), hidden=7)
    save_tensors(path, KIND, detector.state_dict())
    images = draw("stars", 3, seed=0)
    assert torch.equal(predict(load_detector(path, (1, 28, 28)), images), predict(detector, images))
    with pytest.raises(StageError, match="weights of another network"):
        load_detector(path, (3, 28, 28))
