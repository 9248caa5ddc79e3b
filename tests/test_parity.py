"""The parity check, as a command and as a stage, passes for the trained model and for no other."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from mnist_serving.cli import main as run_command
from mnist_serving.parity import compare, round_up
from onnx import numpy_helper
from safetensors.numpy import save_file

from stages import download, evaluate, export, train
from stages import parity as stage
from stages.abstain import calibrate, detector
from stages.io import LOGITS_FILE, MODEL_FILE, TEST_FILE, TRAIN_FILE, StageError
from tests.conftest import ROOT, TEST_IMAGES, edit_params

REPORT = Path("reports/parity.json")
COMMAND = ["parity", "--model", str(MODEL_FILE), "--report", str(REPORT)]


@pytest.fixture
def exported(project: Path) -> Path:
    for earlier in (download, train, detector, calibrate, evaluate, export):
        earlier.main()
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
    assert 0 <= report["max_abs_logit_diff"] <= 1e-4
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


def test_the_stage_writes_the_report_of_the_command(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parity("--tolerance", "0.001") == 0
    by_command, said = (exported / REPORT).read_bytes(), capsys.readouterr().out
    edit_params(exported, export__tolerance=0.001)
    (exported / REPORT).unlink()
    stage.main()
    assert (exported / REPORT).read_bytes() == by_command
    assert capsys.readouterr().out == said


def test_the_stage_fails_beyond_its_tolerance(exported: Path) -> None:
    edit_params(exported, export__tolerance=1e-12)
    with pytest.raises(StageError, match=r"images differ: rows \d+, \d+"):
        stage.main()
    assert json.loads((exported / REPORT).read_text())["passed"] is False


def test_the_stage_names_a_file_that_is_missing(exported: Path) -> None:
    (exported / LOGITS_FILE).unlink()
    with pytest.raises(StageError, match=rf"{LOGITS_FILE}: no such file"):
        stage.main()


def test_the_command_needs_no_torch(exported: Path) -> None:
    code = f"import sys; sys.modules['torch'] = None; from mnist_serving.cli import main; main({COMMAND})"
    environment = {"PYTHONPATH": str(ROOT / "serving")}
    subprocess.run([sys.executable, "-c", code], cwd=exported, env=environment, check=True, capture_output=True)


def test_a_copy_of_the_project_uses_its_own_package(exported: Path) -> None:
    code = "import stages, mnist_serving; print(mnist_serving.__file__)"
    environment = {"PYTHONPATH": str(ROOT / "serving")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=exported, env=environment, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()) == exported / "serving/mnist_serving/__init__.py"


def test_a_logit_that_is_not_a_number_never_passes() -> None:
    reference = np.eye(3, dtype=np.float32)
    broken = reference.copy()
    broken[1, 1] = np.nan
    assert compare(reference, iter([reference, broken]), tolerance=1.0).differing == (1,)


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        (MODEL_FILE, b"", "onnxruntime"),
        (MODEL_FILE, b"junk" * 100, "onnxruntime"),
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
        ("images", np.zeros((TEST_IMAGES, 1, 8, 8), np.uint8), "[N,1,8,8], should be [N,1,28,28]"),
        ("images", np.zeros((TEST_IMAGES, 3, 28, 28), np.uint8), "[N,3,28,28], should be [N,1,28,28]"),
        ("logits", np.zeros((TEST_IMAGES, 7), np.float32), "[N,7], should be [N,10]"),
        ("logits", np.zeros((TEST_IMAGES, 1), np.float32), "[N,1], should be [N,10]"),
    ],
)
def test_images_and_logits_of_another_model_are_named_in_one_line(
    exported: Path, name: str, tensor: npt.NDArray[np.generic], shapes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({name: tensor}, exported / "other.safetensors")
    assert parity(f"--{name}", "other.safetensors") == 1
    assert capsys.readouterr().err == f"mnist-serving: error: other.safetensors belongs to another model: {shapes}\n"


@pytest.mark.usefixtures("exported")
def test_the_training_images_in_place_of_the_test_images_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert parity("--images", str(TRAIN_FILE)) == 1
    assert "holds 600 images, but reports/test_logits.safetensors the logits of 200" in capsys.readouterr().err


@pytest.mark.parametrize("tolerance", ["0", "-1", "nan", "inf", "much"])
def test_a_tolerance_that_is_not_a_positive_number_is_wrong_usage(tolerance: str) -> None:
    assert parity("--tolerance", tolerance) == 2


@pytest.mark.parametrize(("measured", "reported"), [(0.0, 0.0), (1.14e-5, 1e-4), (1e-5, 1e-5), (np.inf, np.inf)])
def test_the_report_says_differences_to_a_power_of_ten(measured: float, reported: float) -> None:
    assert round_up(measured) == reported
