"""`params.yaml` is checked whole, and an error says the key, the value and what is allowed."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor, nn

from stages import check
from stages.check import Params
from stages.config import load_params
from stages.io import StageError
from stages.models.linear import Linear
from tests.conftest import edit_params


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train__epoch": 7}, ["unknown key `train.epoch`", "7", "did you mean `epochs`?", "batch_size"]),
        ({"objective__learning_rate": -0.1}, ["`objective.learning_rate` is -0.1", "greater than 0"]),
        ({"objective__learning_rate": float("nan")}, ["`objective.learning_rate` is nan", "finite"]),
        ({"objective__learning_rate": "fast"}, ["`objective.learning_rate` is 'fast'", "number"]),
        ({"train__batch_size": 0}, ["`train.batch_size` is 0", "greater than 0"]),
        ({"train__batch_size": 64.5}, ["`train.batch_size` is 64.5", "whole number"]),
        ({"train__epochs": True}, ["`train.epochs` is True", "whole number"]),
        ({"train__patience": "x"}, ["`train.patience` is 'x'", "a whole number, or null"]),
        ({"data__validation": 0}, ["`data.validation` is 0", "greater than 0"]),
        ({"data__validation": 1.5}, ["`data.validation` is 1.5", "whole number of images, or a share of them below 1"]),
        ({"data__validation": float("inf")}, ["`data.validation` is inf", "finite"]),
        ({"train__epochs": 10**30}, [f"`train.epochs` is {10**30}", "1000000000 or less"]),
        ({"evaluate__pictures": 10**9}, ["`evaluate.pictures` is 1000000000", "100000 or less"]),
        ({"export__tolerance": 1e308}, ["`export.tolerance` is 1e+308", "1.0 or less"]),
        ({"download__folder__path": ""}, ["`download.folder.path` is ''", "write text"]),
        ({"model__kind": "mpl"}, ["`model.kind` is 'mpl'", "'mlp', 'cnn', 'linear'"]),
        ({"model__hiden": [3]}, ["unknown key `model.hiden`", "did you mean `hidden`?"]),
        ({"model__hidden": [0]}, ["`model.hidden.0` is 0", "greater than 0"]),
        (
            {"objective__loss": {"kind": "cross_entropy", "smooth": 1}},
            ["unknown key `objective.loss.smooth`", "label_"],
        ),
        ({"model": {"kind": "mlp"}}, ["`model.hidden` is missing"]),
        ({"model__hidden": 256}, ["`model.hidden` is 256", "a list, such as [256]"]),
        ({"model__hidden": []}, ["`model.hidden` is []", "1 or more entries"]),
        ({"train__device": "gpu"}, ["`train.device` is 'gpu'", "'cpu', 'cuda', 'mps' or 'auto'"]),
        ({"train": 3}, ["`train` is 3", "keys and values"]),
        ({"objective__loss": {}}, ["`objective.loss.kind` is missing: write it"]),
        ({"model": None}, ["`model` is empty", "keys and values"]),
        ({"objective__betas": [0.9]}, ["`objective.betas` has too few entries"]),
        ({"objective__loss": "cross_entropy"}, ["`objective.loss` is 'cross_entropy'", "keys and values"]),
        ({"download__folder__test": 1.0}, ["`download.folder.test` is 1.0", "less than 1"]),
        ({"download__uci_digits__test": 1.0}, ["`download.uci_digits.test` is 1.0", "less than 1"]),
        ({"download__mnist__sha256": {"train-images-idx3-ubyte.gz": "0" * 64}}, ["`download.mnist.sha256", "4"]),
        ({"download__mnist__sha256__train-images-idx3-ubyte.gz": "x"}, ["is 'x'", "must match ^[0-9a-f]{64}$"]),
        (
            {"download__mnist__sha256__train-image.gz": "0" * 64},
            ["`download.mnist.sha256.train-image.gz` is 'train-im"],
        ),
        ({"download__mnist__mirrors": "somewhere"}, ["`download.mnist.mirrors` is 'somewhere'", "a list"]),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(
    project: Path, change: dict[str, object], words: list[str]
) -> None:
    edit_params(project, **change)
    with pytest.raises(StageError) as caught:
        load_params(Params)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 10**30, 0, True, None, "3", [3]])
def test_a_wrong_entry_of_a_list_is_named_alone(project: Path, value: object) -> None:
    edit_params(project, model__hidden=[value])
    with pytest.raises(StageError, match=r"^params\.yaml: `model\.hidden\.0` is .*") as caught:
        load_params(Params)
    assert "\n" not in str(caught.value)


def test_a_misspelt_section_is_named_with_the_nearest_one(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("objective:", "obective:"))
    with pytest.raises(StageError, match=r"unknown key `obective`.*did you mean `objective`") as caught:
        load_params(Params)
    assert "`objective` is missing" in str(caught.value)


def test_a_section_whose_name_is_a_number_is_named(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text() + "1: 2\n")
    with pytest.raises(StageError, match=r"unknown key `1` \(value 2\)"):
        load_params(Params)


@pytest.mark.parametrize("text", ["train: [", "train: 1\ntrain: 2\n", "", "just words", "\x00"])
def test_a_file_that_is_not_a_yaml_mapping_is_refused(project: Path, text: str) -> None:
    (project / "params.yaml").write_text(text)
    with pytest.raises(StageError, match=r"params\.yaml"):
        load_params(Params)


def test_a_missing_file_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match="run this in the root"):
        load_params(Params)


def test_the_check_prints_one_line_per_mistake_and_no_traceback(project: Path) -> None:
    edit_params(project, train__epochs=0, train__batch_size=-1)
    done = subprocess.run([sys.executable, "-m", "stages.check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 2
    assert "Traceback" not in done.stderr


def test_naming_a_data_set_changes_one_word_of_the_file(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    for name, code in (("uci_digts", 1), ("uci_digits", 0)):
        command = [sys.executable, "-m", "stages.check", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code
    assert done.stdout.endswith("the data set uci_digits\n")
    after = (project / "params.yaml").read_text()
    assert after == before.replace("dataset: mnist", "dataset: uci_digits")


@pytest.mark.parametrize("line", ['  dataset: "mnist"', "  dataset:   'mnist'", "  dataset: my-digits"])
def test_a_data_set_is_named_however_the_old_one_stands_there(project: Path, line: str) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  dataset: mnist", line))
    assert load_params(Params, text=check.choose("kmnist")).data.dataset == "kmnist"


def test_a_file_without_a_line_for_the_data_set_is_not_taken_for_changed(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("  dataset: mnist", "  ? dataset\n  : mnist"))
    with pytest.raises(StageError, match="has no line `  dataset: NAME` to write kmnist into"):
        check.choose("kmnist")


class TakesLargeColours(nn.Module):
    """It takes images [3,64,64] alone."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*[nn.MaxPool2d(2)] * 5, nn.Flatten(), nn.Linear(3 * 2 * 2, check.CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.layers(images)
        return logits


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (("folder", [64, 64], "rgb"), ""),
        (("folder", [64, 64], "grey"), r"^the model fails on images \[1, 64, 64\]"),
        (("folder", [64, 64], "auto"), "warning: the model fails on images [1, 64, 64]"),
        (("folder", None, "rgb"), "warning: the model fails on images [3, 28, 28]"),
        (("mnist", [64, 64], "rgb"), r"^the model fails on images \[1, 28, 28\]"),
    ],
)
def test_the_model_is_checked_on_the_shape_of_the_data_set_where_that_is_known(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    data: tuple[str, list[int] | None, str],
    outcome: str,
) -> None:
    dataset, size, channels = data
    edit_params(project, data__dataset=dataset, download__folder__size=size, download__folder__channels=channels)
    edit_params(project, model={"kind": "linear"})
    (project / "pictures/cat").mkdir(parents=True)
    (project / "pictures/cat/1.png").touch()
    monkeypatch.setattr(Linear, "build", lambda *_: TakesLargeColours())
    if outcome.startswith("^"):
        with pytest.raises(StageError, match=outcome):
            check.main()
        return
    check.main()
    printed = capsys.readouterr()
    assert printed.err.startswith(outcome)
    assert printed.err.count("\n") == bool(outcome)
    assert "params.yaml is valid" in printed.out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train__device": "cuda"}, "`train.device` is 'cuda', but torch finds no GPU"),
        ({"train__processes": 1000}, "`train.processes` is 1000; on this machine it must be"),
        ({"data__dataset": "folder"}, "elsewhere is not a folder: put your pictures there"),
        ({}, r"^elsewhere is missing \(`download.folder.path`\): make an empty folder there"),
    ],
)
def test_what_this_machine_lacks_is_said_before_anything_is_trained_or_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    edit_params(project, download__folder__path="elsewhere", **change)
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(StageError, match=said):
        check.main("kmnist" if not change else "")
    assert (project / "params.yaml").read_bytes() == before
