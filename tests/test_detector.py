"""Telling digits from everything else: the drawings, the detector, and the two numbers fitted on held-out images."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from stages.abstain.calibrate import fit_temperature, fit_threshold
from stages.abstain.detector import Detector, detector_examples, fit_detector
from stages.abstain.ood_images import (
    LEARNED_FONTS,
    REPORTED,
    REPORTED_NOISE,
    TRAINED,
    TRAINED_NOISE,
    UNSEEN_FONTS,
    draw_noise,
    refused_shares,
)
from stages.abstain.strokes import blank, grains, specks, stripes, uniform_noise
from stages.augment import Augment
from stages.config import load_json
from stages.data import DatasetInfo, Shape, Split
from stages.drawn import pages
from stages.drawn.digits import DIGITS
from stages.drawn.pages import FORKED_FROM, Draw, draw_images, read_pages
from stages.io import StageError, save_tensors
from stages.models.calibration import Calibration, confidence
from stages.models.detector import KIND, build_detector, load_detector
from stages.models.inference import predict
from tests.conftest import make_digits

PARAMS = Detector(
    pictures=20,
    digits=20,
    pages=80,
    repeats=3,
    hidden=(100,),
    learning_rate=0.004,
    epochs=6,
    batch_size=128,
    augment=Augment(strength=0.3, elastic_alpha=0.5, elastic_sigma=4.0, group_size=32),
    seed=0,
)
MNIST = DatasetInfo(name="MNIST", labels=DIGITS, shape=(1, 28, 28), centred=True, sha256={})
FASHION = DatasetInfo(name="FashionMNIST", labels=DIGITS, shape=(3, 32, 30), centred=False, sha256={})
KINDS = TRAINED | {f"{group} {number}": draw for group in REPORTED for number, draw in enumerate(REPORTED[group])}


@pytest.mark.parametrize("draw", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("info", [MNIST, FASHION])
def test_the_same_seed_draws_the_same_pictures(draw: Draw, info: DatasetInfo) -> None:
    first, again, other = (draw_images(draw, 2, info, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.shape == (2, *info.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pages_read_on_all_cores_are_those_read_on_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    drawn = [KINDS["letters"](random) for _ in range(FORKED_FROM)]
    drawn.insert(3, np.full((50, 50), 255, np.uint8))  # nothing is on it
    on_all = read_pages(drawn, MNIST)
    monkeypatch.setattr(pages, "FORKED_FROM", len(drawn) + 1)
    assert torch.equal(on_all, read_pages(drawn, MNIST))


@pytest.mark.parametrize("draw", [blank, grains, specks, stripes, uniform_noise])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 21, 30)])
def test_noise_takes_the_shape_of_the_data_set(draw: Draw, shape: Shape) -> None:
    noise = draw_noise(draw, 5, shape, np.random.default_rng(0))
    assert noise.shape == (5, *shape)
    assert noise.dtype == torch.uint8


def test_nothing_that_is_reported_is_trained_on() -> None:
    trained = {str(draw.args) for draw in TRAINED.values() if isinstance(draw, partial)}
    reported = {str(draw.args) for draws in REPORTED.values() for draw in draws if isinstance(draw, partial)}
    assert not trained & reported
    assert not set(LEARNED_FONTS) & set(UNSEEN_FONTS)
    assert not set(TRAINED_NOISE) & {draw for draws in REPORTED_NOISE.values() for draw in draws}


def test_a_model_that_abstains_from_everything_refuses_every_group() -> None:
    shares = refused_shares(lambda images: torch.ones(len(images), dtype=torch.bool), 5, MNIST, seed=0)
    assert set(shares) == {*REPORTED, *REPORTED_NOISE}
    assert set(shares.values()) == {1.0}


def test_the_detector_tells_digits_from_pictures_that_it_has_never_seen() -> None:
    images, names = make_digits(400, seed=0)
    digits = Split(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(names).long())
    detector = fit_detector(*detector_examples(digits, MNIST, PARAMS), PARAMS, centred=True)
    assert predict(detector, torch.from_numpy(make_digits(100, seed=1)[0]).unsqueeze(1)).median() > 0
    shares = refused_shares(lambda images: predict(detector, images)[:, 0] < 0, 50, MNIST, seed=0)
    assert shares["words"] > 0.5
    assert shares["blank"] > 0.5


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


def test_confidence_is_the_product_of_both_networks_probabilities() -> None:
    logits, detector_logits = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0]])
    expected = 0.5 * torch.tensor([[1.0, 0.0]]).softmax(dim=1).max()
    torch.testing.assert_close(confidence(logits, detector_logits, temperature=2.0), expected[None])


def test_the_threshold_rejects_the_share_of_digits_that_is_allowed() -> None:
    confidences = torch.rand(5_000, generator=torch.Generator().manual_seed(0))
    rejected = (confidences < fit_threshold(confidences, max_false_rejection_rate=0.01)).float().mean()
    assert 0.009 < rejected <= 0.01


@pytest.mark.parametrize(
    "text", ["", "{}", '{"temperature": 0, "confidence_threshold": 0.5}', "[1]", '{"temperature": "x"}']
)
def test_a_damaged_calibration_file_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    calibration = Calibration(temperature=1.25, confidence_threshold=0.5)
    path.write_text(calibration.model_dump_json())
    assert load_json(path, Calibration) == calibration
    path.write_text(text)
    with pytest.raises(StageError, match=r"calibration\.json is (missing or )?damaged"):
        load_json(path, Calibration)


def test_a_detector_is_as_deep_and_as_wide_as_its_file_says_and_of_the_shape_it_was_trained_for(tmp_path: Path) -> None:
    path = tmp_path / "detector.safetensors"
    detector = build_detector((1, 28, 28), hidden=[9, 8, 7, 6, 5])
    save_tensors(path, KIND, detector.state_dict())
    images = draw_noise(grains, 3, (1, 28, 28), np.random.default_rng(0))
    assert torch.equal(predict(load_detector((1, 28, 28), path), images), predict(detector, images))
    with pytest.raises(StageError, match="weights of another network"):
        load_detector((3, 28, 28), path)
