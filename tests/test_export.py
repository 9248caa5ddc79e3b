"""The ONNX file: its contract, and its answers by three independent runtimes, for any model."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn
from torch.nn.utils.prune import l1_unstructured

from stages import download, evaluate, export, train
from stages.abstain import calibrate, detector
from stages.config import load_json
from stages.data import Shape
from stages.export import Accuracy, check_exportable, golden_images
from stages.io import MODEL_FILE, WEIGHTS_FILE, StageError
from stages.models.calibration import confidence
from stages.models.cnn import Cnn
from stages.models.detector import build_detector
from stages.models.inference import predict
from stages.models.mlp import Mlp
from stages.onnx_graph import _translate, build_onnx, serialize
from tests.conftest import ROOT

SHAPE = (1, 28, 28)
CLASSES = 10
IMAGES = torch.randint(0, 256, (7, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Residual(nn.Module):
    """A block that adds its input, with layers that PyTorch's exporter merges and names that the graph uses too."""

    def __init__(self) -> None:
        super().__init__()
        self.scaled = nn.Conv2d(1, 4, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.temperature = nn.Parameter(torch.ones(4, 1, 1))
        self.logits = nn.Linear(4 * 14 * 14, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [B,10] of images [B,1,28,28]."""
        first = self.norm(self.scaled(images)).relu()
        second: Tensor = self.logits((first + self.temperature * first.tanh()).flatten(1))
        return second


class Doubling(nn.Sequential):
    """A class derived from one of PyTorch's that computes something else."""

    def forward(self, images: Tensor) -> Tensor:
        """Return twice what the layers return."""
        for layer in self:
            images = layer(images)
        return 2 * images


def seeded(kind: str) -> nn.Module:
    """An untrained model; batch normalisation has seen images, so that it does something."""
    torch.manual_seed(0)
    models: dict[str, nn.Module] = {
        "mlp": Mlp(kind="mlp", hidden=(32,)).build(SHAPE, CLASSES),
        "cnn": Cnn(kind="cnn", channels=(4, 6), kernel=3, hidden=8).build(SHAPE, CLASSES),
        "residual": Residual(),
        "doubling": Doubling(nn.Flatten(), nn.Linear(28 * 28, CLASSES)),
        "hooked": nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, CLASSES)),
        "pruned": nn.Sequential(nn.Flatten(), l1_unstructured(nn.Linear(28 * 28, CLASSES), "weight", amount=0.5)),
    }
    models["hooked"].get_submodule("1").register_forward_hook(lambda _layer, _input, output: 2 * output)
    with torch.no_grad():  # a pruned layer could not be copied otherwise
        models[kind](IMAGES / 255)
    return models[kind]


@pytest.fixture
def detector_network() -> nn.Module:
    torch.manual_seed(1)
    return build_detector(SHAPE, hidden=[16])


def exported(model: nn.Module, detector_network: nn.Module, *, shape: Shape = SHAPE, classes: int = CLASSES) -> bytes:
    """The file, with a temperature of 1.5."""
    return serialize(build_onnx(model, detector_network, shape, classes=classes, temperature=1.5), metadata={})


@pytest.mark.parametrize("kind", ["mlp", "cnn", "residual", "doubling", "hooked", "pruned"])
def test_any_model_has_the_contracts_tensors_and_answers_as_torch_does(
    kind: str, detector_network: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    model = seeded(kind)
    content = exported(model, detector_network)
    assert capfd.readouterr() == ("", "")
    session = onnxruntime.InferenceSession(content)
    (image,) = session.get_inputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["batch", 1, 28, 28])
    outputs = {output.name: (output.type, output.shape) for output in session.get_outputs()}
    assert outputs["logits"] == outputs["probabilities"] == ("tensor(float)", ["batch", 10])
    assert outputs["digit"] == ("tensor(float)", ["batch", 1])

    for images in (IMAGES[:1], IMAGES[:2], IMAGES):
        wanted = predict(model, images)
        sure = confidence(wanted, predict(detector_network, images), temperature=1.5)
        for runtime in (session, ReferenceEvaluator(onnx.load_from_string(content))):
            names = ["logits", "probabilities", "digit"]
            logits, probabilities, digit = map(np.asarray, runtime.run(names, {"image": images.numpy()}))
            np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-5)
            np.testing.assert_allclose(probabilities, (wanted / 1.5).softmax(dim=1).numpy(), atol=1e-6)
            np.testing.assert_allclose(digit[:, 0] * probabilities.max(axis=1), sure.numpy(), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 25)])
def test_a_convolutional_network_is_translated_for_any_shape(shape: Shape) -> None:
    model = Cnn(kind="cnn", channels=(4, 6), kernel=3, hidden=8).build(shape, 3)
    session = onnxruntime.InferenceSession(exported(model, build_detector(shape, hidden=[4]), shape=shape, classes=3))
    images = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
    (logits,) = session.run(["logits"], {"image": images.numpy()})
    np.testing.assert_allclose(logits, predict(model, images).numpy(), atol=1e-5)


@pytest.mark.parametrize(("kind", "opset", "ir_version"), [("mlp", 12, 7), ("cnn", 12, 7), ("residual", 18, 8)])
def test_the_lowest_opset_that_works_is_used(
    kind: str, opset: int, ir_version: int, detector_network: nn.Module
) -> None:
    model = onnx.load_from_string(exported(seeded(kind), detector_network))
    assert model.ir_version == ir_version
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]


@pytest.mark.parametrize("kind", ["mlp", "residual"])
def test_the_nodes_have_readable_names_of_their_own(kind: str, detector_network: nn.Module) -> None:
    nodes = onnx.load_from_string(exported(seeded(kind), detector_network)).graph.node
    assert len({node.name for node in nodes}) == len(nodes)
    assert [node.name for node in nodes][:3] == [
        "to_float",
        "scale",
        "classifier.0.Flatten" if kind == "mlp" else "classifier.0.Conv",
    ]


def test_pytorchs_exporter_leaves_no_trace_of_the_code_or_of_this_machine(detector_network: nn.Module) -> None:
    model = seeded("residual")
    content = exported(model, detector_network)
    assert exported(model, detector_network) == content
    for word in (str(ROOT), "test_export", "Residual", "torch", "forward"):
        assert word.encode() not in content


def test_exporting_leaves_the_model_as_it_was(detector_network: nn.Module) -> None:
    model = seeded("residual")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    exported(model, detector_network)
    assert model.training
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Tanh(),
        nn.Linear(4, 4, bias=False),
        nn.Conv2d(1, 1, 3, bias=False),
        nn.Conv2d(1, 1, 3, dilation=2),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.MaxPool2d(2),
        nn.AvgPool2d((2, 2)),
        nn.AvgPool2d(2, 1),
        nn.AvgPool2d(3, 3, 1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.Flatten(2),
    ],
)
def test_a_layer_with_settings_that_have_no_node_is_not_taken_for_another(layer: nn.Module) -> None:
    assert _translate(layer, "source", "target", prefix="layer") is None


def test_such_layers_go_through_pytorchs_exporter(detector_network: nn.Module) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect", bias=False),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.Conv2d(2, 2, 3, padding="same", dilation=2),
        nn.Flatten(),
        nn.LazyLinear(CLASSES),
    )
    wanted = predict(model, IMAGES)
    session = onnxruntime.InferenceSession(exported(model, detector_network))
    (logits,) = session.run(["logits"], {"image": IMAGES.numpy()})
    np.testing.assert_allclose(logits, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "residual"])
def test_a_model_that_can_be_exported_passes_the_check(kind: str) -> None:
    check_exportable(seeded(kind), SHAPE, classes=CLASSES)


class BranchesOnPixels(nn.Module):
    """What it computes depends on an image's values."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of one sign or the other."""
        logits = images.flatten(1)[:, :CLASSES]
        return logits if images.sum() > 0 else -logits


class BranchesOnBatch(nn.Module):
    """What it computes depends on how many images there are."""

    def forward(self, images: Tensor) -> Tensor:
        """Return other logits for a single image."""
        return images.flatten(1)[:, :CLASSES] * (2 if images.shape[0] == 1 else 1)


class RepeatsForEachImage(nn.Module):
    """It gives each image a copy of something, as Transformers do, and counts them with `len`."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return images.flatten(1)[:, :CLASSES] + torch.ones(1, CLASSES).expand(len(images), -1)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(100, CLASSES)), r"fails on images \[3, 1, 28, 28\]: mat1 and mat2"),
        (nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 7)), r"into \[3, 7\]; should be \[3, 10\]"),
        (BranchesOnPixels(), r"cannot be exported to ONNX: Could not guard on data-dependent expression .*; change"),
        (BranchesOnBatch(), "gives other logits in ONNX than in PyTorch: its `forward` must"),
        (RepeatsForEachImage(), r"fixes the number of images: write `images\.shape\[0\]` for `len\(images\)`"),
    ],
)
def test_a_model_that_cannot_be_exported_is_found_without_training(
    model: nn.Module, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StageError, match=words) as raised:
        check_exportable(model, SHAPE, classes=CLASSES)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"accuracy": "high"}'])
def test_damaged_metrics_are_named_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(StageError, match=r"metrics\.json is damaged .*: delete it and run `dvc repro`") as raised:
        load_json(path, Accuracy)
    assert "pydantic.dev" not in str(raised.value)


def test_the_golden_pictures_cover_every_pixel() -> None:
    images = golden_images(SHAPE)
    assert images.dtype == torch.uint8
    assert images.shape[1:] == (1, 28, 28)
    assert bool((images.amax(dim=0) > 0).all())


def test_the_stage_writes_one_file_that_says_what_it_is(project: Path, idx_files: dict[str, bytes]) -> None:
    for stage in (download, train, detector, calibrate, evaluate, export):
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
