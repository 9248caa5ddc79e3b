"""The parity check passes for the trained model and for no other."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from mnist_serving.cli import main as run_command
from mnist_serving.parity import compare
from onnx import numpy_helper
from safetensors.numpy import save_file

from stages import download, evaluate, export, train
from stages.abstain import detector
from stages.io import LOGITS_FILE, MODEL_FILE, TEST_FILE, TRAIN_FILE
from tests.conftest import TEST_IMAGES

REPORT = Path("reports/parity.json")
COMMAND = ["parity", "--model", str(MODEL_FILE), "--report", str(REPORT)]


@pytest.fixture
def exported(project: Path) -> Path:
    for stage in (download, detector, train, evaluate, export):
        stage.main()
    return project


def parity(*options: str) -> int:
    """Run the command; return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        run_command([*COMMAND, *options])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_the_exported_model_is_the_trained_one(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity() == 0
    report = json.loads((exported / REPORT).read_text())
    assert report["passed"] is True
    assert report["images"] == TEST_IMAGES
    assert report["argmax_mismatches"] == 0
    assert 0 <= report["max_abs_logit_diff"] < 1e-4
    assert report["smallest_top2_margin"] > 0
    assert {"onnxruntime", "torch", "tolerance"} < report.keys()
    assert "parity passed: 200 images, 0 argmax mismatches" in capsys.readouterr().out


def test_one_changed_weight_fails_it_and_the_images_are_named(
    exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(exported / MODEL_FILE)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "classifier.3.bias")
    values = numpy_helper.to_array(bias).copy()
    values[4] += 100
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(model, exported / MODEL_FILE)
    assert parity() == 1
    report = json.loads((exported / REPORT).read_text())
    assert report["passed"] is False
    assert report["argmax_mismatches"] > TEST_IMAGES / 2
    said = capsys.readouterr()
    assert "parity FAILED" in said.out
    assert "200 images differ: rows 0, 1, 2" in said.err


def test_a_difference_beyond_the_tolerance_fails_even_if_no_guess_changes(exported: Path) -> None:
    assert parity("--tolerance", "1e-12") == 1
    report = json.loads((exported / REPORT).read_text())
    assert (report["argmax_mismatches"], report["passed"]) == (0, False)


def test_a_logit_that_is_no_number_never_passes() -> None:
    reference = np.eye(3, dtype=np.float32)
    broken = reference.copy()
    broken[1, 1] = np.nan
    assert compare(reference, iter([reference, broken]), tolerance=1.0).differing == (1,)


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        (MODEL_FILE, b"", "is not a model that onnxruntime"),
        (MODEL_FILE, b"junk" * 100, "is not a model that onnxruntime"),
        (MODEL_FILE, None, "No such file"),
        (TEST_FILE, None, "no such file"),
        (LOGITS_FILE, b"\x05", "is not a safetensors file with `logits`"),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_named_in_one_line(
    exported: Path, path: Path, content: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (exported / path).unlink()
    if content is not None:
        (exported / path).write_bytes(content)
    assert parity() == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(path) in said
    assert words in said


@pytest.mark.parametrize(
    ("name", "tensor", "shapes"),
    [
        ("images", np.zeros((TEST_IMAGES, 1, 8, 8), np.uint8), "must be [N,1,28,28], not [N,1,8,8]"),
        ("images", np.zeros((TEST_IMAGES, 3, 28, 28), np.uint8), "must be [N,1,28,28], not [N,3,28,28]"),
        ("logits", np.zeros((TEST_IMAGES, 7), np.float32), "must be [N,10], not [N,7]"),
        ("logits", np.zeros((TEST_IMAGES, 1), np.float32), "must be [N,10], not [N,1]"),
    ],
)
def test_images_or_logits_of_another_model_are_named_in_one_line(
    exported: Path, name: str, tensor: npt.NDArray[np.generic], shapes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({name: tensor}, exported / "other.safetensors")
    assert parity(f"--{name}", "other.safetensors") == 1
    assert capsys.readouterr().err == f"mnist-serving: error: other.safetensors belongs to another model: it {shapes}\n"


@pytest.mark.usefixtures("exported")
def test_the_training_images_in_place_of_the_test_images_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert parity("--images", str(TRAIN_FILE)) == 1
    assert "has 600 images, but reports/test_logits.safetensors has the logits of 200" in capsys.readouterr().err


@pytest.mark.parametrize("tolerance", ["0", "-1", "nan", "inf", "much"])
def test_a_tolerance_that_is_no_positive_number_is_wrong_usage(tolerance: str) -> None:
    assert parity("--tolerance", tolerance) == 2
