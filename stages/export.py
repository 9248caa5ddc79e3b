"""Stage `export`: the trained model as one ONNX file that takes raw pixels and carries its contract.

The graph is `onnx_graph.py`'s; here are the metadata, and the check that a model can be exported at all. The stage
`parity` compares the file with PyTorch on every test image.
"""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper
from PIL import Image, ImageDraw
from pydantic import ConfigDict
from torch import Tensor, nn

from stages.config import Section, load_json, load_params
from stages.data import DatasetInfo, Shape, load_dataset_info
from stages.io import METRICS_FILE, MODEL_FILE, WEIGHTS_FILE, StageError, atomic_write, run
from stages.models import Model, load_model
from stages.models.calibration import Calibration, load_calibration
from stages.models.detector import build_detector, load_detector
from stages.models.inference import predict
from stages.onnx_graph import build_onnx, first_line, not_exportable, serialize

CHECK_TOLERANCE = 1e-4  # absolute, and ten times as much relative to a logit

# The golden examples, a one, a seven, a zero and a letter: strokes as points on a page of 100 by 100.
STROKES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((52, 15), (48, 85)),
    ((26, 16), (50, 16), (74, 14), (64, 34), (56, 50), (50, 68), (46, 88)),
    ((50, 14), (38, 19), (30, 32), (27, 50), (30, 68), (38, 81), (50, 86), (65, 79), (73, 50), (68, 28), (50, 14)),
    ((20, 85), (35, 20), (50, 60), (65, 20), (80, 85)),
)
PEN = 9  # of 100


class Params(Section):
    """What the stage uses."""

    model: Model


class Accuracy(Section):
    """What the model says of itself, of all that `evaluate` wrote."""

    model_config = ConfigDict(extra="ignore")

    accuracy: float


def check_exportable(model: nn.Module, shape: Shape, *, classes: int) -> None:
    """Export a model, trained or not, and compare onnxruntime's logits of made-up images with PyTorch's.

    Args:
        model: scaled images float32 [B,*shape] -> logits [B,classes].
        shape: channels, height and width of an image.
        classes: how many labels there are.

    Raises:
        StageError: it fails, gives anything else, cannot be exported, or gives other logits in ONNX.

    """
    import onnxruntime  # the stage itself does without

    images = torch.randint(0, 256, (3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        wanted = [predict(model, images[:count]) for count in (len(images), 1)]
    except Exception as error:  # whatever the model's own code raises
        raise StageError(f"the model fails on images {[*images.shape]}: {first_line(error)}") from error
    if wanted[0].shape != (len(images), classes):
        found, right = [*wanted[0].shape], [len(images), classes]
        raise StageError(f"the model turns images {[*images.shape]} into {found}; should be {right}")
    exported = build_onnx(model, build_detector(shape, hidden=[1]), shape, classes=classes, temperature=1.0)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised
    try:
        session = onnxruntime.InferenceSession(serialize(exported, metadata={}), options, ["CPUExecutionProvider"])
    except Exception as error:  # onnx's and onnxruntime's exceptions have no common base class
        raise not_exportable(error) from error
    try:
        for logits in wanted:
            (found,) = session.run(["logits"], {"image": images[: len(logits)].numpy()})
            np.testing.assert_allclose(found, logits, rtol=10 * CHECK_TOLERANCE, atol=CHECK_TOLERANCE)
    except Exception as error:  # a difference, or onnxruntime's own
        raise StageError(
            "the model gives other logits in ONNX than in PyTorch: its `forward` must compute the same whatever the "
            "number of images, without random numbers"
        ) from error


def describe_preprocessing(info: DatasetInfo) -> dict[str, Any]:
    """Return what pixels the model takes, and how a picture becomes such."""
    channels, *sides = info.shape
    polarity, placing = "as in the data set", "as in the data set, the picture filled"
    if info.centred:
        polarity = "0 = background (black), 255 = ink (white)"
        placing = "the digit fitted into 20x20, keeping its proportions, its centre of mass in the middle of 28x28"
    return {
        "size": sides,
        "channels": "grey" if channels == 1 else "rgb",
        "range": [0, 255],
        "centred": info.centred,
        "polarity": polarity,
        "placing": placing,
    }


def describe(info: DatasetInfo, *, accuracy: float, calibration: Calibration, weights: bytes) -> dict[str, Any]:
    """Return what an app needs to know and cannot guess; each value becomes an entry of the metadata."""
    return {
        "labels": info.labels,
        "preprocessing": describe_preprocessing(info),
        "accuracy": accuracy,
        "dataset": info.name,
        "dataset_sha256": info.sha256,
        "weights_sha256": sha256(weights).hexdigest(),
        "temperature": calibration.temperature,
        "confidence_threshold": calibration.confidence_threshold,
    }


def golden_images(shape: tuple[int, int, int]) -> Tensor:
    """Return pictures drawn by code, uint8 [N,*shape]: each of `STROKES`, and one with ink on every pixel.

    The model file stores them with its answers, so that whoever loads it can check it without a data set.
    """
    channels, height, width = shape
    images = []
    for points in STROKES:
        page = Image.new("L", (100, 100))
        ImageDraw.Draw(page).line(points, fill=255, width=PEN, joint="curve")
        images.append(np.asarray(page.resize((width, height), Image.Resampling.BILINEAR)))
    images.append((np.arange(height * width) * 97 % 255 + 1).astype(np.uint8).reshape(height, width))
    return torch.from_numpy(np.stack(images)[:, np.newaxis]).repeat(1, channels, 1, 1)


def golden_examples(model: nn.Module, shape: Shape) -> dict[str, list[Any]]:
    """Return the golden images, base64 of their raw pixels in rows, and the model's logits of them."""
    images = golden_images(shape)
    return {
        "images": [base64.b64encode(image.numpy().tobytes()).decode() for image in images],
        "logits": [[round(score, 5) for score in row] for row in predict(model, images).tolist()],
    }


def to_metadata(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the entries of `metadata_props`: text as it is, anything else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in description.items()}


def main() -> None:
    """Write `serving/mnist_serving/model.onnx`, and `model.json`, which says the same as its metadata."""
    params, info = load_params(Params), load_dataset_info()
    model, detector = load_model(params.model, info), load_detector(info.shape)
    calibration, weights = load_calibration(), WEIGHTS_FILE.read_bytes()
    accuracy = load_json(METRICS_FILE, Accuracy).accuracy
    description = describe(info, accuracy=accuracy, calibration=calibration, weights=weights)
    description["golden"] = golden_examples(model, info.shape)
    exported = build_onnx(model, detector, info.shape, classes=len(info.labels), temperature=calibration.temperature)
    content = serialize(exported, metadata=to_metadata(description))
    beside = {"file": MODEL_FILE.name, "sha256": sha256(content).hexdigest()} | describe_tensors(exported.graph)
    atomic_write(MODEL_FILE, content)
    atomic_write(MODEL_FILE.with_suffix(".json"), (json.dumps(beside | description, indent=1) + "\n").encode())
    print(f"{MODEL_FILE}: {len(content):,} bytes, ONNX opset {exported.opset_import[0].version}")


def describe_tensors(graph: onnx.GraphProto) -> dict[str, list[dict[str, object]]]:
    """Return names, types and shapes of the graph's inputs and outputs; a free dimension by its name."""

    def describe_one(tensor: onnx.ValueInfoProto) -> dict[str, object]:
        kind = tensor.type.tensor_type
        shape = [side.dim_param or side.dim_value for side in kind.shape.dim]
        return {"name": tensor.name, "type": helper.tensor_dtype_to_np_dtype(kind.elem_type).name, "shape": shape}

    return {"inputs": [*map(describe_one, graph.input)], "outputs": [*map(describe_one, graph.output)]}


if __name__ == "__main__":
    run(main)
