"""The examples: the commands of their READMEs run, and their answers are those of the model's golden examples.

`test_batch.py` has the batch job.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mnist_serving import Classifier, canonicalize
from mnist_serving.images import read_grey
from onnx import TensorProto, helper, numpy_helper

from benchmarks.environments import JAVASCRIPT, OPENCV_5, RUNNERS
from benchmarks.launch import RuntimeMissingError, check_made, find_command, find_opencv_compiler
from benchmarks.peer_environments import find
from benchmarks.runtimes import MODEL
from tests.conftest import ROOT
from tests.http_server import ENVIRONMENT, PATIENCE, Server
from tests.test_repository import versions_of

EXAMPLES = ROOT / "examples"
ANSWER = re.compile(r"^(\S+): (not sure, perhaps )?(.+)  ([01]\.\d{4})$", flags=re.MULTILINE)
TOLERANCE = 1e-4  # the answers have four digits
PROGRAMS = {  # a folder, and how its command starts
    "python": ("python", "python classify.py"),
    "node": ("node", "node classify.mjs"),
    "opencv": ("opencv", "python classify.py"),
    "opencv, C++": ("opencv", "./classify"),
    "client": ("client", "python classify.py"),
    "client, curl": ("client", "sh classify.sh"),
}
WITH_MODEL = [name for name in PROGRAMS if not name.startswith("client")]
ADDRESS = "127.0.0.1:8000"  # of the service, in the READMEs


def blocks(folder: str, language: str) -> list[str]:
    """The fenced blocks of an example's README in a language."""
    page = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def find_line(folder: str, start: str) -> str:
    """Return the command of an example's README that starts like that."""
    (line,) = [line for line in "".join(blocks(folder, "sh")).splitlines() if line.startswith(start)]
    return line


class Example:
    """A fresh copy of an example, ready to run.

    Raises:
        RuntimeMissingError: what it wants is not here.

    """

    def __init__(self, name: str, root: Path) -> None:
        folder, self.start = PROGRAMS[name]
        self.line = find_line(folder, self.start)
        self.folder = root / "examples" / folder
        self.path = os.environ["PATH"]
        shutil.copytree(EXAMPLES / folder, self.folder, ignore=shutil.ignore_patterns("node_modules", "pictures"))
        shutil.copy(EXAMPLES / "pictures.py", self.folder.parent)
        (root / "serving").symlink_to(ROOT / "serving")
        self._provide(name)
        self.done(find_line(folder, "python3 ../p" if name == "node" else "python ../p"))

    def _provide(self, name: str) -> None:
        python = Path(sys.executable)
        if name == "node":
            find_command("node")
            check_made(JAVASCRIPT)
            (self.folder / "node_modules").symlink_to(RUNNERS / "node_modules")
        elif name == "opencv":
            check_made(OPENCV_5)
            python = OPENCV_5.python
        elif name == "opencv, C++":
            find_opencv_compiler()
            self.done(find_line("opencv", "g++"))
        elif name == "client":
            if (found := find("tritonclient")) is None:
                raise RuntimeMissingError("tritonclient is not installed: run `make environments`")
            python = found
        elif name == "client, curl":
            find_command("curl")
        self.path = f"{python.parent}:{self.path}"

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in the example's folder, as a shell does."""
        environment = ENVIRONMENT | {"PATH": self.path}
        command = ["bash", "-c", line]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def done(self, line: str) -> str:
        """Return what a line prints that has nothing to complain about."""
        done = self.run(line)
        assert (done.returncode, done.stderr) == (0, ""), line
        return done.stdout

    def complaint(self, arguments: str, *, code: int = 1) -> str:
        """Return the last line on standard error of a run that fails."""
        done = self.run(f"{self.start} {arguments}")
        lines = done.stderr.splitlines()
        assert done.returncode == code, done
        assert len(lines) == 1 or lines[0].startswith("usage: "), done
        return lines[-1]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Example]:
    """Copy an example by name."""

    def copy(name: str) -> Example:
        try:
            return Example(name, tmp_path)
        except RuntimeMissingError as error:
            pytest.skip(str(error))

    return copy


def check_golden(printed: str, *, tells_doubt: bool) -> None:
    """Compare the answers to the golden examples with PyTorch's logits."""
    description = json.loads(MODEL.with_suffix(".json").read_text())
    scaled = np.exp(np.array(description["golden"]["logits"]) / description["temperature"])
    wanted = scaled / scaled.sum(axis=1, keepdims=True)
    names, doubts, labels, probabilities = zip(*ANSWER.findall(printed), strict=True)
    assert names == tuple(f"pictures/golden-{number}.pgm" for number in range(1, len(wanted) + 1))
    assert labels == tuple(description["labels"][place] for place in wanted.argmax(axis=1))
    assert [float(text) for text in probabilities] == pytest.approx(wanted.max(axis=1), abs=TOLERANCE)
    images = Classifier().contract.golden.images
    unsure = Classifier().predict(images).abstained.tolist() if tells_doubt else [False] * len(images)
    assert [bool(doubt) for doubt in doubts] == unsure


@pytest.mark.parametrize("name", WITH_MODEL)
def test_the_readmes_command_names_the_golden_examples(name: str, make: Callable[[str], Example]) -> None:
    example = make(name)
    check_golden(example.done(example.line), tells_doubt=True)


def test_tritonclient_names_the_golden_examples(make: Callable[[str], Example], server: Server) -> None:
    example = make("client")
    check_golden(example.done(example.line.replace(ADDRESS, f"127.0.0.1:{server.port}")), tells_doubt=False)


def test_curl_gets_the_classifiers_answers_and_the_reason_where_there_is_none(
    make: Callable[[str], Example], server: Server
) -> None:
    example = make("client, curl")
    done = example.run(example.line.replace(ADDRESS, f"127.0.0.1:{server.port}"))
    answers = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert list(answers) == [f"pictures/golden-{number}.png" for number in (1, 2, 3, 4)]
    for name, text in answers.items():
        wanted = Classifier().predict(canonicalize(read_grey((example.folder / name).read_bytes())))
        (answer,) = json.loads(text)["predictions"]
        assert answer["label"] == wanted.labels[0]
        assert answer["probabilities"] == pytest.approx(wanted.probabilities[0], abs=TOLERANCE)
        assert answer["abstained"] == wanted.abstained[0]
    assert done.returncode == 1
    assert done.stderr.startswith('classify.sh: pictures/golden-5.png: {"error":"no digit found in the picture')


@pytest.mark.parametrize("folder", ["python", "node", "opencv", "client"])
def test_the_answers_that_a_readme_shows_are_those_of_the_model(folder: str) -> None:
    """Those of the committed model, or of the one to be committed: with other packages the training gives another."""

    def answers(text: str) -> list[tuple[str, str, Any]]:
        model = json.loads(text)
        scaled = np.exp(np.array(model["golden"]["logits"]) / model["temperature"])
        return [
            (f"pictures/golden-{number}.pgm", model["labels"][row.argmax()], pytest.approx(row.max(), abs=TOLERANCE))
            for number, row in enumerate(scaled / scaled.sum(axis=1, keepdims=True), start=1)
        ]

    shown = [(name, label, float(value)) for name, _, label, value in ANSWER.findall(blocks(folder, "text")[-1])]
    right = [answers(text) for text in versions_of("serving/mnist_serving/model.json")]
    assert shown in right, "paste what its command prints"


@pytest.mark.parametrize("name", WITH_MODEL)
def test_a_bad_picture_is_one_line_and_the_others_are_answered(name: str, make: Callable[[str], Example]) -> None:
    example = make(name)
    good = (example.folder / "pictures/golden-1.pgm").read_bytes()
    bad = {
        "empty.pgm": b"",
        "text.pgm": b"seven",
        "wide.pgm": b"P5 29 28 255 " + bytes(29 * 28),
        "half.pgm": good[:500],
    }
    for file, content in bad.items():
        (example.folder / file).write_bytes(content)
    model = "../../serving/mnist_serving/model.onnx"
    done = example.run(f"{example.start} {model} missing.pgm {' '.join(bad)} pictures/golden-1.pgm")
    assert done.returncode == 1
    assert [found[0] for found in ANSWER.findall(done.stdout)] == ["pictures/golden-1.pgm"]
    lines = done.stderr.splitlines()
    for file, line in zip(["missing.pgm", *bad], lines, strict=True):
        assert f": {file}: " in line
    assert "29x28 pixels; the model takes 28x28" in lines[3]


@pytest.mark.parametrize("name", ["python", "node", "client"])
def test_comments_in_a_pictures_header_are_passed_over(
    name: str, make: Callable[[str], Example], server: Server
) -> None:
    example = make(name)
    header, pixels = b"P5\n28 28\n255\n", (example.folder / "pictures/golden-1.pgm").read_bytes()[-784:]
    (example.folder / "plain.pgm").write_bytes(header + pixels)
    (example.folder / "comments.pgm").write_bytes(
        header.replace(b"P5\n", b"P5\n# by hand, 1 1\n#\n\n# twice\n") + pixels
    )
    (example.folder / "endless.pgm").write_bytes(b"P5 " + b"# " * 1000 + b"x")
    model = f"http://127.0.0.1:{server.port}" if name == "client" else "../../serving/mnist_serving/model.onnx"
    done = example.run(f"{example.start} {model} plain.pgm comments.pgm endless.pgm")
    plain, comments = done.stdout.splitlines()
    assert comments.removeprefix("comments") == plain.removeprefix("plain")
    assert "endless.pgm: no binary PGM" in done.stderr


@pytest.mark.parametrize("name", WITH_MODEL)
def test_a_file_that_is_not_a_model_and_wrong_usage_are_one_line(name: str, make: Callable[[str], Example]) -> None:
    example = make(name)
    (example.folder / "half.onnx").write_bytes(MODEL.read_bytes()[:1000])
    shutil.copy(MODEL.with_suffix(".json"), example.folder / "half.json")
    for file in ("missing.onnx", "half.onnx"):
        assert Path(file).stem in example.complaint(f"{file} pictures/golden-1.pgm")
    for arguments in ("", "half.onnx"):
        example.complaint(arguments, code=2)


@pytest.mark.parametrize("name", ["client", "client, curl"])
def test_a_client_says_in_one_line_what_is_wrong(name: str, make: Callable[[str], Example], server: Server) -> None:
    example = make(name)
    url = f"http://127.0.0.1:{server.port}"
    good = "pictures/golden-1" + (".pgm" if name == "client" else ".png")
    assert "missing" in example.complaint(f"{url} missing.png")
    assert "pictures.py" in example.complaint(f"{url} {good} ../pictures.py")
    assert "unknown path" in example.complaint(f"{url}/other {good}")
    assert "does `mnist-serving serve` listen there?" in example.complaint(f"http://127.0.0.1:1 {good}")
    example.complaint(url, code=2)


@pytest.mark.parametrize("name", ["client", "client, curl"])
def test_a_client_takes_a_slash_after_the_address_and_a_picture_twice(
    name: str, make: Callable[[str], Example], server: Server
) -> None:
    example = make(name)
    good = "pictures/golden-1" + (".pgm" if name == "client" else ".png")
    first, second = example.done(f"{example.start} http://127.0.0.1:{server.port}/ {good} {good}").splitlines()
    assert first == second
    assert first.startswith(good)


def small_model(labels: list[str], size: tuple[int, int]) -> onnx.ModelProto:
    """Return a model for pictures of another size: the whiter they are, the more they are of the last class."""
    height, width = size
    weights = np.zeros((height * width, len(labels)), np.float32)
    weights[:, -1] = 0.01
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["grey"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("MatMul", ["flat", "column"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["digit"]),
    ]
    tensors = {"weights": weights, "column": weights[:, -1:]}
    outputs = {"logits": len(labels), "probabilities": len(labels), "digit": 1}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 1, height, width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", count]) for name, count in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=6)


@pytest.mark.parametrize("name", WITH_MODEL)
def test_another_number_of_classes_and_another_size_are_the_models_business(
    name: str, make: Callable[[str], Example]
) -> None:
    example = make(name)
    labels = ["a", "b: coat, long", "c"]
    info = {"labels": labels, "preprocessing": {"size": [6, 9]}, "confidence_threshold": 0.4}
    model = small_model(labels, (6, 9))
    helper.set_model_props(model, {key: json.dumps(value) for key, value in info.items()})
    onnx.save(model, example.folder / "small.onnx")
    (example.folder / "small.json").write_text(json.dumps(info))
    for file, level in (("black.pgm", 0), ("white.pgm", 255)):
        (example.folder / file).write_bytes(b"P5 9 6 255 " + bytes([level] * 54))
    printed = example.done(f"{example.start} small.onnx black.pgm white.pgm")
    assert printed == "black.pgm: not sure, perhaps a  0.3333\nwhite.pgm: c  1.0000\n"


def test_the_examples_in_python_are_pinned_to_what_they_are_tested_with() -> None:
    lock = set((ROOT / "requirements.lock").read_text().splitlines())
    for folder in ("python", "batch"):
        pins = (EXAMPLES / folder / "requirements.txt").read_text().splitlines()
        assert {pin for pin in pins if not pin.startswith("../..[images]")} <= lock


def test_the_example_in_node_is_pinned_to_what_it_is_tested_with() -> None:
    ours, tested = (
        json.loads((folder / "package-lock.json").read_text())["packages"] for folder in (EXAMPLES / "node", RUNNERS)
    )
    del ours[""]
    assert "node_modules/onnxruntime-node" in ours
    for name, entry in ours.items():
        assert entry == tested[name]
        assert "resolved" not in entry


def test_the_page_on_embedding_leads_to_every_example() -> None:
    page = (ROOT / "docs/embedding.md").read_text(encoding="utf-8")
    for readme in EXAMPLES.glob("*/README.md"):
        assert f"](../examples/{readme.parent.name}/)" in page
