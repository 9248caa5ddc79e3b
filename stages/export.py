"""Stage `export`: the trained network as one ONNX file that takes raw pixels and says what it is.

The graph is written by hand, node by node, because it is small: that keeps it to operators of opset 12,
which runtimes since 2020 know, and free of the stack traces that an exporter leaves. The stage
`parity` proves it equal to the network on every test image.
"""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from pydantic import Field
from torch import Tensor, nn

from stages.abstain.calibrate import Calibration, load_calibration
from stages.abstain.detector import Detector, load_detector
from stages.config import Section, load_params
from stages.data import DatasetInfo, Shape, load_dataset_info
from stages.golden import golden_images
from stages.inference import load_weights, predict
from stages.io import (
    CALIBRATION_FILE,
    DATASET_FILE,
    DETECTOR_FILE,
    METRICS_FILE,
    MODEL_FILE,
    WEIGHTS_FILE,
    StageError,
    atomic_write,
    run,
)
from stages.models import KIND, Model

OPSET, IR_VERSION = 12, 7  # what onnxruntime has loaded since 1.3, and Windows ML and OpenCV load


class Export(Section):
    """The ONNX file: how far its logits may be from PyTorch's."""

    tolerance: Annotated[float, Field(gt=0)]


class Params(Section):
    """What the stage uses."""

    model: Model
    detector: Detector


def build_graph(
    network: nn.Sequential, detector: nn.Sequential, shape: Shape, *, classes: int, temperature: float
) -> onnx.GraphProto:
    """Translate classifier and detector into one graph.

    From `image`, raw pixels, to `logits`, `probabilities` = softmax(logits / temperature), and
    `digit` [batch,1] = sigmoid(the detector's logit), how probable it is that the picture is one at all.

    Raises:
        StageError: a network has a layer that `_translate` does not know.

    """
    classifier_nodes, classifier_weights = _translate_network(network, "scaled", "logits", prefix="classifier")
    detector_nodes, detector_weights = _translate_network(detector, "scaled", "detector_logit", prefix="detector")
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["grey", "white"], ["scaled"]),
        *classifier_nodes,
        helper.make_node("Div", ["logits", "temperature"], ["calibrated"]),
        helper.make_node("Softmax", ["calibrated"], ["probabilities"], axis=1),
        *detector_nodes,
        helper.make_node("Sigmoid", ["detector_logit"], ["digit"]),
    ]
    scalars = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in (("white", 255.0), ("temperature", temperature))
    ]
    outputs = {"logits": classes, "probabilities": classes, "digit": 1}
    return helper.make_graph(
        nodes,
        "mnist",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in outputs.items()],
        [*scalars, *classifier_weights, *detector_weights],
    )


def _translate_network(
    network: nn.Sequential, source: str, target: str, *, prefix: str
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return a network's nodes, from the tensor `source` to `target`, and its weights."""
    nodes = []
    for number, layer in enumerate(network):
        output = target if number == len(network) - 1 else f"{prefix}.{number}.output"
        nodes.append(_translate(layer, source, output, prefix=f"{prefix}.{number}"))
        source = output
    weights = network.state_dict().items()
    return nodes, [numpy_helper.from_array(tensor.numpy(), f"{prefix}.{name}") for name, tensor in weights]


def _translate(layer: nn.Module, source: str, target: str, *, prefix: str) -> NodeProto:
    """Return the ONNX node of a layer whose weights are initializers named as in the state dict.

    A pattern names every setting of the layer that the node does not say: another value is another layer.
    """
    weights = [f"{prefix}.weight", f"{prefix}.bias"]
    match layer:
        case nn.Flatten(start_dim=1, end_dim=-1):
            node = helper.make_node("Flatten", [source], [target], axis=1)
        case nn.Linear(bias=Tensor()):
            node = helper.make_node("Gemm", [source, *weights], [target], transB=1)
        case nn.Conv2d(bias=Tensor(), padding=(rows, columns), dilation=(1, 1), groups=1, padding_mode="zeros"):
            node = helper.make_node(
                "Conv", [source, *weights], [target], pads=[rows, columns] * 2, strides=layer.stride
            )
        case (
            nn.AvgPool2d(kernel_size=int(side), padding=0, ceil_mode=False, divisor_override=None)
            | nn.MaxPool2d(kernel_size=int(side), padding=0, ceil_mode=False, dilation=1, return_indices=False)
        ) if layer.stride == side:
            kind = "AveragePool" if isinstance(layer, nn.AvgPool2d) else "MaxPool"
            node = helper.make_node(kind, [source], [target], kernel_shape=[side] * 2, strides=[side] * 2)
        case nn.ReLU():
            node = helper.make_node("Relu", [source], [target])
        case nn.Dropout():
            node = helper.make_node("Identity", [source], [target])
        case _:
            msg = f"no ONNX node is known for {layer}: add a case to `_translate` in stages/export.py"
            raise StageError(msg)
    return node


def build_onnx(graph: onnx.GraphProto, *, metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of the checked ONNX model with its contract in `metadata_props`."""
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mnist-serving",
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def describe_preprocessing(info: DatasetInfo) -> dict[str, Any]:
    """Return what pixels the model takes, and how a picture becomes such."""
    channels, height, width = info.shape
    described: dict[str, Any] = {
        "size": [height, width],
        "channels": "grey" if channels == 1 else "rgb",
        "range": [0, 255],
        "centred": info.centred,
    }
    if info.centred:
        return described | {
            "polarity": "0 = background (black), 255 = ink (white)",
            "placing": "the digit fitted into 20x20, keeping its proportions, "
            "its centre of mass in the middle of 28x28",
        }
    return described | {"polarity": "as in the data set", "placing": "as in the data set, the picture filled"}


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
        "abstention": {
            "rule": "abstain where `digit` x the largest of `probabilities` is below `confidence_threshold`",
            "confidence_threshold": calibration.confidence_threshold,
        },
    }


def load_accuracy(path: Path) -> float:
    """Return the accuracy that `evaluate` wrote.

    Raises:
        StageError: the file is missing or damaged.

    """
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["accuracy"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        msg = f"{path} is missing or damaged ({error}): delete it and run `dvc repro`"
        raise StageError(msg) from error


def golden_examples(network: nn.Sequential, shape: Shape) -> dict[str, list[Any]]:
    """Return the golden images, base64 of their raw pixels in rows, and the network's logits of them."""
    images = golden_images(shape)
    return {
        "images": [base64.b64encode(image.numpy().tobytes()).decode() for image in images],
        "logits": [[round(score, 5) for score in row] for row in predict(network, images).tolist()],
    }


def main() -> None:
    """Write `serving/mnist_serving/model.onnx`, and `model.json`, which says the same as its metadata."""
    params, info = load_params(Params), load_dataset_info(DATASET_FILE)
    classes = len(info.labels)
    network = load_weights(params.model.build(info.shape, classes), WEIGHTS_FILE, KIND)
    detector = load_detector(DETECTOR_FILE, info.shape, hidden=params.detector.hidden)
    calibration = load_calibration(CALIBRATION_FILE)
    weights = WEIGHTS_FILE.read_bytes()
    description = describe(info, accuracy=load_accuracy(METRICS_FILE), calibration=calibration, weights=weights)
    description["golden"] = golden_examples(network, info.shape)
    graph = build_graph(network, detector, info.shape, classes=classes, temperature=calibration.temperature)
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in description.items()}
    content = build_onnx(graph, metadata=metadata)
    beside = {"file": MODEL_FILE.name, "sha256": sha256(content).hexdigest()} | describe_tensors(graph) | description
    atomic_write(MODEL_FILE, content)
    atomic_write(MODEL_FILE.with_suffix(".json"), (json.dumps(beside, indent=1) + "\n").encode())
    print(f"{MODEL_FILE}: {len(content):,} bytes, ONNX opset {OPSET}")


def describe_tensors(graph: onnx.GraphProto) -> dict[str, list[dict[str, object]]]:
    """Return names, types and shapes of the graph's inputs and outputs; a free dimension by its name."""

    def describe_one(tensor: onnx.ValueInfoProto) -> dict[str, object]:
        kind = tensor.type.tensor_type
        shape = [side.dim_param or side.dim_value for side in kind.shape.dim]
        return {"name": tensor.name, "type": helper.tensor_dtype_to_np_dtype(kind.elem_type).name, "shape": shape}

    return {"inputs": [*map(describe_one, graph.input)], "outputs": [*map(describe_one, graph.output)]}


if __name__ == "__main__":
    run(main)
