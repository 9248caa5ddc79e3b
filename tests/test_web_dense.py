"""examples/web runs the packaged network without a runtime: its answers are onnxruntime's."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import Classifier, canonicalize
from PIL import Image, ImageDraw

from benchmarks.degrade import Picture
from benchmarks.launch import RuntimeMissingError, find_command
from benchmarks.runtimes import MODEL, draw_images
from tests.conftest import ROOT
from tests.handwriting import WAYS, write_digit
from tests.other_models import write_convolutional_model

TOLERANCE = 1e-5
RUN = """
import { readFileSync } from "node:fs";
import { readDense } from "WEB/dense.js";

const [model, pixels, ...shape] = process.argv.slice(1);
const run = readDense(readFileSync(model), ["batch", ...shape.map(Number)]);
const all = readFileSync(pixels);
const images = Array.from({ length: all.length / 784 }, (_, place) => all.subarray(784 * place, 784 * (place + 1)));
const answers = run && images.map((image) => run(image)).map((each) => ({ ...each }));
console.log(JSON.stringify(answers, (_, value) => (value instanceof Float32Array ? [...value] : value)));
"""


def run(
    model: Path, images: Picture, folder: Path, shape: tuple[int, ...] = (1, 28, 28)
) -> list[dict[str, list[float]]]:
    """Return the outputs of each image, or None where the network is not one of fully connected layers."""
    (folder / "pixels").write_bytes(images.tobytes())
    program = RUN.replace("WEB", (ROOT / "examples/web").as_uri())
    try:
        command = [find_command("node"), "--input-type=module", "-e", program]
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    command += [str(model), str(folder / "pixels"), *map(str, shape)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def drawn(digit: str, seed: int) -> Picture:
    """Return a digit as the model sees it."""
    page = Image.new("L", (200, 200), 255)
    for stroke in write_digit(digit, seed):
        ImageDraw.Draw(page).line([(2 * x, 2 * y) for x, y in stroke], fill=0, width=16, joint="curve")
    return canonicalize(np.asarray(page))


def test_probabilities_and_digit_are_within_a_hundred_thousandth_of_onnxruntime(tmp_path: Path) -> None:
    digits = np.stack([drawn(digit, seed) for digit in WAYS for seed in range(20)])
    images = np.concatenate([digits, draw_images(100)[:, 0]])  # the last are strokes, blank, full and noise
    answers = run(MODEL, images, tmp_path)
    said = Classifier().predict(images)
    for name, wanted in (("probabilities", said.probabilities), ("digit", said.digit[:, None])):
        np.testing.assert_allclose([answer[name] for answer in answers], wanted, rtol=0, atol=TOLERANCE)
    found = np.array([answer["logits"] for answer in answers])
    np.testing.assert_allclose(found[: len(digits)], said.logits[: len(digits)], rtol=0, atol=TOLERANCE)
    assert found.argmax(axis=1).tolist() == said.logits.argmax(axis=1).tolist()


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 28, 14)])
def test_colour_and_pictures_that_are_not_square_are_left_to_onnxruntime(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    assert run(MODEL, np.zeros((1, 28, 28), np.uint8), tmp_path, shape) is None


def test_a_network_with_other_layers_is_left_to_onnxruntime(tmp_path: Path) -> None:
    model = write_convolutional_model(tmp_path / "model")
    assert run(model, np.zeros((1, 28, 28), np.uint8), tmp_path) is None


def test_a_site_without_a_model_is_not_built_and_the_folder_is_named(tmp_path: Path) -> None:
    try:
        command = [find_command("node"), str(ROOT / "examples/web/build.js"), str(tmp_path / "site"), str(tmp_path)]
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = f"{tmp_path / 'model.onnx'} is missing: name a folder that holds a model.onnx and its model.json\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert not [*tmp_path.iterdir()]
