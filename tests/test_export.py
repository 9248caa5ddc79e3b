"""The ONNX file: its contract, and its answers by three independent runtimes."""

import json
import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from stages import download, evaluate, export, train
from stages.abstain import detector
from stages.abstain.calibrate import confidence
from stages.data import Shape
from stages.export import build_graph, build_onnx, load_accuracy
from stages.golden import golden_images
from stages.io import MODEL_FILE, WEIGHTS_FILE, StageError
from stages.models.cnn import Cnn
from stages.models.detector import build_detector
from stages.models.inference import predict
from stages.models.mlp import Mlp
from tests.conftest import ROOT

SHAPE = (1, 28, 28)
IMAGES = torch.randint(0, 256, (7, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return Mlp(kind="mlp", hidden=(32,)).build(SHAPE, 10)


@pytest.fixture
def detector_network() -> nn.Sequential:
    torch.manual_seed(1)
    return build_detector(SHAPE, hidden=16)


@pytest.fixture
def exported(network: nn.Sequential, detector_network: nn.Sequential) -> bytes:
    graph = build_graph(network, detector_network, SHAPE, classes=10, temperature=1.5)
    return build_onnx(graph, metadata={"dataset": "made up"})


def test_the_file_has_the_contracts_names_types_and_shapes(exported: bytes) -> None:
    session = onnxruntime.InferenceSession(exported)
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["batch", 1, 28, 28])
    outputs = {output.name: (output.type, output.shape) for output in session.get_outputs()}
    assert outputs["logits"] == outputs["probabilities"] == ("tensor(float)", ["batch", 10])
    assert outputs["digit"] == ("tensor(float)", ["batch", 1])


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_onnxruntime_and_the_reference_evaluator_agree_with_torch(
    network: nn.Sequential, detector_network: nn.Sequential, exported: bytes, batch: int
) -> None:
    images = IMAGES[:batch]
    wanted = predict(network, images)
    sure = confidence(wanted, predict(detector_network, images), temperature=1.5)
    for runtime in (onnxruntime.InferenceSession(exported), ReferenceEvaluator(onnx.load_from_string(exported))):
        names = ["logits", "probabilities", "digit"]
        logits, probabilities, digit = map(np.asarray, runtime.run(names, {"image": images.numpy()}))
        np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-5)
        np.testing.assert_allclose(probabilities, (wanted / 1.5).softmax(dim=1).numpy(), atol=1e-6)
        np.testing.assert_allclose(digit[:, 0] * probabilities.max(axis=1), sure.numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 25)])
def test_a_convolutional_network_is_translated_for_any_shape(shape: Shape) -> None:
    network = Cnn(kind="cnn", channels=(4, 6), kernel=3, hidden=8).build(shape, 3)
    graph = build_graph(network, build_detector(shape, hidden=4), shape, classes=3, temperature=1.0)
    session = onnxruntime.InferenceSession(build_onnx(graph, metadata={}))
    images = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
    (logits,) = session.run(["logits"], {"image": images.numpy()})
    np.testing.assert_allclose(logits, predict(network, images).numpy(), atol=1e-5)


def test_the_lowest_opset_that_serves_is_used(exported: bytes) -> None:
    model = onnx.load_from_string(exported)
    assert model.ir_version == 7
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 12)]


def test_a_layer_without_a_translation_says_where_to_add_it() -> None:
    with pytest.raises(StageError, match=r"Tanh.*add a case to `_translate`"):
        build_graph(
            nn.Sequential(nn.Flatten(), nn.Tanh()), build_detector(SHAPE, hidden=1), SHAPE, classes=784, temperature=1.0
        )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(4, 4, bias=False),
        nn.Conv2d(1, 1, 3, bias=False),
        nn.Conv2d(1, 1, 3, dilation=2),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.MaxPool2d((2, 2)),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(2, 1),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AvgPool2d(3, 3, 1),
        nn.Flatten(2),
    ],
)
def test_a_layer_with_settings_that_have_no_translation_is_not_taken_for_another(layer: nn.Module) -> None:
    with pytest.raises(StageError, match=rf"no ONNX node is known for {re.escape(str(layer))}"):
        build_graph(nn.Sequential(layer), build_detector(SHAPE, hidden=1), SHAPE, classes=1, temperature=1.0)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(3), nn.MaxPool2d(3, stride=3)])
def test_pooling_is_translated(pool: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1), pool, nn.Flatten(), nn.LazyLinear(3))
    wanted = predict(network, IMAGES)
    graph = build_graph(network, build_detector(SHAPE, hidden=1), SHAPE, classes=3, temperature=1.0)
    session = onnxruntime.InferenceSession(build_onnx(graph, metadata={}))
    (logits,) = session.run(["logits"], {"image": IMAGES.numpy()})
    np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"accuracy": "high"}'])
def test_damaged_metrics_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(StageError, match=r"metrics\.json is missing or damaged .*: delete it and run `dvc repro`"):
        load_accuracy(path)


def test_the_golden_pictures_cover_every_pixel() -> None:
    images = golden_images(SHAPE)
    assert images.dtype == torch.uint8
    assert images.shape[1:] == (1, 28, 28)
    assert bool((images.amax(dim=0) > 0).all())


def test_the_stage_writes_one_file_that_says_what_it_is(project: Path, idx_files: dict[str, bytes]) -> None:
    for stage in (download, detector, train, evaluate, export):
        stage.main()
    model = onnx.load(project / MODEL_FILE)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["labels"]) == [*"0123456789"]
    assert json.loads(metadata["preprocessing"])["size"] == [28, 28]
    assert float(metadata["accuracy"]) == json.loads((project / "metrics.json").read_text())["accuracy"]
    assert metadata["dataset"] == "MNIST"
    assert json.loads(metadata["dataset_sha256"]).keys() == idx_files.keys()
    assert metadata["weights_sha256"] == sha256((project / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    content = (project / MODEL_FILE).read_bytes()
    beside = json.loads((project / MODEL_FILE).with_suffix(".json").read_text())
    assert beside["sha256"] == sha256(content).hexdigest()
    assert beside["inputs"] == [{"name": "image", "type": "uint8", "shape": ["batch", 1, 28, 28]}]
    for key, value in metadata.items():
        assert value == (beside[key] if isinstance(beside[key], str) else json.dumps(beside[key]))
    assert str(project).encode() not in content
    assert str(ROOT).encode() not in content
