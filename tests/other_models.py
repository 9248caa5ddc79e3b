"""Other models than the package's, made without training."""

import json
from hashlib import sha256
from pathlib import Path

import torch
from mnist_serving import Classifier
from torch import Tensor, nn

from stages.data import DatasetInfo, Shape
from stages.export import describe, describe_tensors, golden_examples, to_metadata
from stages.models.calibration import Calibration
from stages.models.detector import build_detector
from stages.onnx_graph import build_onnx, serialize

COLOURS = ("blue", "green", "red")
COLOUR_SHAPE, GREY_SHAPE = (3, 24, 20), (1, 12, 9)
SURE = 20  # how much a channel that is full adds to a logit


def write_colour_model(path: Path) -> Path:
    """Write a model that says of which colour a picture is."""
    return _write_model(path, COLOUR_SHAPE, COLOURS, torch.eye(3).flip(0))


def write_grey_model(path: Path) -> Path:
    """Write a model that says whether a picture is mostly dark or mostly light."""
    return _write_model(path, GREY_SHAPE, ("dark", "light"), torch.tensor([[-1.0], [1.0]]))


def write_convolutional_model(folder: Path) -> Path:
    """Write `model.onnx` and `model.json` of an untrained network for digits; return the first."""
    folder.mkdir()
    shape = (1, 28, 28)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 26 * 26, 10))
    description = Classifier().contract.decoded()
    description |= {"confidence_threshold": 0.0, "golden": golden_examples(network, shape)}
    exported = build_onnx(network, build_detector(shape, hidden=[1]), shape, classes=10, temperature=1.0)
    content = serialize(exported, metadata=to_metadata(description))
    beside = {"file": "model.onnx", "sha256": sha256(content).hexdigest()} | describe_tensors(exported.graph)
    (folder / "model.onnx").write_bytes(content)
    (folder / "model.json").write_text(json.dumps(beside | description))
    return folder / "model.onnx"


def _write_model(path: Path, shape: Shape, labels: tuple[str, ...], shares: Tensor) -> Path:
    """Write a model; `shares` [classes,channels] is what each channel's mean, -0.5 to 0.5, means for a class."""
    _, height, width = shape
    linear = nn.Linear(shares.shape[1] * height * width, len(labels))
    detector = build_detector(shape, hidden=[1])
    with torch.no_grad():
        linear.weight.copy_(SURE * shares.repeat_interleave(height * width, dim=1) / (height * width))
        linear.bias.copy_(-SURE * shares.sum(dim=1) / 2)
    network = nn.Sequential(nn.Flatten(), linear)
    info = DatasetInfo(name="made up", labels=labels, shape=shape, centred=False, sha256={})
    calibration = Calibration(temperature=1.0, confidence_threshold=0.0)
    description = describe(info, accuracy=1.0, calibration=calibration, weights=b"")
    description["golden"] = golden_examples(network, shape)
    exported = build_onnx(network, detector, shape, classes=len(labels), temperature=calibration.temperature)
    path.write_bytes(serialize(exported, metadata=to_metadata(description)))
    return path
