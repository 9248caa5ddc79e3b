"""The stage `evaluate`: scalars that agree with each other, a sentence, plots and a picture."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from stages import download, evaluate, train
from stages.abstain import calibrate, detector
from stages.data import Split, load_dataset_info, load_split
from stages.io import (
    LOGITS_FILE,
    METRICS_FILE,
    TEST_FILE,
    TRAIN_FILE,
    WEIGHTS_FILE,
    StageError,
    load_tensors,
)
from stages.plots import draw_mistakes
from tests.conftest import TEST_IMAGES, edit_params


@pytest.fixture
def trained(project: Path) -> Path:
    """The made-up project, trained so little that mistakes remain."""
    edit_params(project, objective__learning_rate=0.0001, train__epochs=1)
    download.main()
    detector.main()
    train.main()
    calibrate.main()
    return project


def test_the_metrics_are_scalars_that_follow_from_the_logits(trained: Path) -> None:
    evaluate.main()
    metrics = json.loads((trained / METRICS_FILE).read_text())
    labels = load_split(TEST_FILE, load_dataset_info()).labels
    (logits,) = load_tensors(LOGITS_FILE, f"logits by torch {torch.__version__.partition('+')[0]}").values()
    correct = int((logits.argmax(dim=1) == labels).sum())
    assert all(isinstance(value, int | float | str) for value in metrics.values())
    assert 0 < metrics["errors"] < TEST_IMAGES
    assert (metrics["correct"], metrics["total"]) == (correct, TEST_IMAGES)
    assert metrics["errors"] == TEST_IMAGES - correct
    assert metrics["accuracy"] == correct / TEST_IMAGES
    assert metrics["accuracy_95_low"] < metrics["accuracy"] < metrics["accuracy_95_high"]
    assert metrics["gap"] == metrics["train_accuracy"] - metrics["accuracy"]
    assert 0 <= metrics["abstained"] <= 1
    assert metrics["answered_errors"] <= metrics["errors"]
    assert {"refused_letters", "refused_scribbles", "refused_shapes", "refused_noise", "refused_blank"} < metrics.keys()
    assert metrics["loss"] == pytest.approx(cross_entropy(logits, labels).item())
    of_worst = logits.argmax(dim=1)[labels == int(metrics["worst_class"])]
    assert metrics["worst_class_recall"] == pytest.approx((of_worst == int(metrics["worst_class"])).float().mean())


def test_the_reading_is_on_the_screen_and_in_the_report(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_params(trained, evaluate__learned_accuracy=1.0)
    evaluate.main()
    sentence = capsys.readouterr().out.splitlines()[-1]
    assert sentence.startswith("underfitting: ")
    report = (trained / "reports/verdict.md").read_text()
    assert sentence in report
    assert "| verdict | underfitting |" in report


def test_the_plots_hold_every_test_image(trained: Path) -> None:
    evaluate.main()
    rows = list(csv.DictReader(io.StringIO((trained / "reports/confusion.csv").read_text())))
    metrics = json.loads((trained / METRICS_FILE).read_text())
    assert sum(row["actual"] == row["predicted"] for row in rows) == metrics["correct"]
    assert len(rows) == TEST_IMAGES
    diagram = list(csv.DictReader(io.StringIO((trained / "reports/reliability.csv").read_text())))
    assert sum(int(row["images"]) for row in diagram) == TEST_IMAGES
    assert all(row["confidence"] == row["ideal"] for row in diagram)
    with Image.open(trained / "reports/mistakes.png") as picture:
        assert picture.format == "PNG"
        assert not picture.info


def test_the_picture_shows_the_surest_mistake_first() -> None:
    images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    images[2] = 255
    probabilities = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.8, 0.2]])
    content = draw_mistakes(images, torch.tensor([1, 0, 1]), probabilities, ["no", "yes"])
    picture = Image.open(io.BytesIO(content))
    middle_of_first, middle_of_second = picture.getpixel((34, 58)), picture.getpixel((34 + 68, 58))
    assert middle_of_first == 0  # row 2: white ink all over, drawn black on white
    assert middle_of_second == 255  # row 0: no ink


def test_the_picture_of_oblong_images_is_not_squared() -> None:
    images = torch.zeros(1, 1, 60, 20, dtype=torch.uint8)
    images[0, 0, :30] = 255
    picture = Image.open(io.BytesIO(draw_mistakes(images, torch.tensor([1]), torch.tensor([[0.9, 0.1]]), "ab")))
    assert picture.size[0] == 20 * (2 * 20 + 12)
    column = [picture.getpixel((26, 30 + row)) for row in range(120)]
    assert column == [0] * 60 + [255] * 60


def test_long_names_stay_apart_in_the_picture() -> None:
    """A row has as many captions as images: columns of pixels without ink separate them."""
    images, names = torch.full((50, 1, 28, 28), 255, dtype=torch.uint8), ["ankle boot", "trouser"]
    content = draw_mistakes(images, torch.ones(50, dtype=torch.int64), torch.tensor([[0.9, 0.1]] * 50), names)
    ink = torch.from_numpy(np.array(Image.open(io.BytesIO(content))))[30:] < 255
    drawn, captions = ((rows.any(dim=0).argwhere().diff(dim=0) > 10).sum() + 1 for rows in (ink[:56], ink[60:72]))
    assert drawn == captions == 2_000 // (ink.shape[1] // drawn)


def test_the_picture_of_large_images_is_of_thumbnails() -> None:
    images = torch.randint(0, 256, (2, 3, 256, 128), dtype=torch.uint8)
    picture = Image.open(io.BytesIO(draw_mistakes(images, torch.tensor([1, 1]), torch.eye(2)[[0, 0]], "ab")))
    assert picture.size == (20 * (48 + 12), 30 + 96 + 16 + 6)


def test_a_class_without_test_images_is_not_the_worst() -> None:
    limits = evaluate.Evaluate(pictures=1, calibration_bins=2, learned_accuracy=0.9, largest_gap=0.1)
    logits, labels = torch.eye(3)[[1, 2, 1]], torch.tensor([1, 2, 2])
    metrics, _ = evaluate.evaluate(logits, labels, train_accuracy=1.0, names="abc", limits=limits)
    assert (metrics["worst_class"], metrics["worst_class_recall"]) == ("c", 0.5)


def test_a_class_name_with_a_comma_stays_one_name_in_the_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["plain", 'a, "b"']
    test = Split(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]))
    evaluate.write_plots(test, torch.eye(2), names=names, bins=2)
    rows = list(csv.DictReader(io.StringIO(Path("reports/confusion.csv").read_text())))
    assert [(row["actual"], row["predicted"]) for row in rows] == [(name, name) for name in names]


def test_a_model_without_mistakes_has_an_empty_picture() -> None:
    content = draw_mistakes(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([0]), torch.tensor([[1.0]]), "a")
    assert Image.open(io.BytesIO(content)).size[0] > 0


@pytest.mark.parametrize("path", [TRAIN_FILE, TEST_FILE, WEIGHTS_FILE])
def test_a_damaged_file_is_named_and_nothing_is_written(trained: Path, path: Path) -> None:
    content = (trained / path).read_bytes()
    (trained / path).write_bytes(content[:-1] + bytes([content[-1] ^ 255]))
    with pytest.raises(StageError, match=f"{path} is corrupted"):
        evaluate.main()
    assert not (trained / METRICS_FILE).exists()
