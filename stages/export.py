"""Stage `export`: the trained network as one ONNX file that takes raw pixels and says what it is.

The graph is written by hand, node by node, because it is small: that keeps it to operators of opset 12,
which runtimes since 2020 know, and free of the stack traces that an exporter leaves. The stage
`parity` proves it equal to the network on every test image.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import nn

from stages.data import IMAGE_SHAPE
from stages.model import load_model
from stages.params import load_params
from stages.stage import METRICS_FILE, MODEL_FILE, WEIGHTS_FILE, StageError, run, write_whole

OPSET, IR_VERSION = 12, 7  # what onnxruntime has loaded since 1.3, and Windows ML and OpenCV load

PREPROCESSING = {
    "size": [28, 28],
    "channels": "grey",
    "range": [0, 255],
    "polarity": "0 = background (black), 255 = ink (white)",
    "placing": "the digit fitted into 20x20, keeping its proportions, its centre of mass in the middle of 28x28",
}


def build_graph(model: nn.Sequential, *, classes: int) -> onnx.GraphProto:
    """Translate the network into a graph from `image`, raw pixels, to `logits` and `probabilities`.

    Raises:
        StageError: the network has a layer that `_translate` does not know.

    """
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["grey", "white"], ["layer0"]),
    ]
    initializers = [helper.make_tensor("white", TensorProto.FLOAT, [], [255.0])]
    for number, layer in enumerate(model):
        output = "logits" if number == len(model) - 1 else f"layer{number + 1}"
        nodes.append(_translate(layer, f"layer{number}", output, prefix=str(number)))
    for name, weights in model.state_dict().items():
        initializers.append(numpy_helper.from_array(weights.numpy(), name))
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
    return helper.make_graph(
        nodes,
        "mnist",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *IMAGE_SHAPE])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", classes])
            for name in ("logits", "probabilities")
        ],
        initializers,
    )


def _translate(layer: nn.Module, source: str, target: str, *, prefix: str) -> NodeProto:
    """Return the ONNX node of a layer whose weights are initializers named as in the state dict."""
    match layer:
        case nn.Flatten():
            return helper.make_node("Flatten", [source], [target], axis=1)
        case nn.Linear():
            return helper.make_node("Gemm", [source, f"{prefix}.weight", f"{prefix}.bias"], [target], transB=1)
        case nn.ReLU():
            return helper.make_node("Relu", [source], [target])
    msg = f"no ONNX node is known for {layer}: add a case to `_translate` in stages/export.py"
    raise StageError(msg)


def build_onnx(model: nn.Sequential, *, classes: int, metadata: Mapping[str, str]) -> ModelProto:
    """Return the checked ONNX model with its contract in `metadata_props`."""
    exported = helper.make_model(
        build_graph(model, classes=classes),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mnist-serving",
    )
    helper.set_model_props(exported, dict(metadata))
    onnx.checker.check_model(exported, full_check=True)
    return exported


def describe(*, labels: Sequence[str], dataset: str, accuracy: float, weights: bytes) -> dict[str, str]:
    """Return the metadata: what an app needs to know and cannot guess."""
    return {
        "labels": json.dumps(labels),
        "preprocessing": json.dumps(PREPROCESSING),
        "accuracy": str(accuracy),
        "dataset": dataset,
        "weights_sha256": sha256(weights).hexdigest(),
    }


def main() -> None:
    """Write `serving/mnist_serving/model.onnx`."""
    params = load_params()
    labels = params.data.labels
    model = load_model(WEIGHTS_FILE, hidden=params.model.hidden, classes=len(labels))
    metadata = describe(
        labels=labels,
        dataset=params.export.dataset,
        accuracy=json.loads(METRICS_FILE.read_text())["accuracy"],
        weights=WEIGHTS_FILE.read_bytes(),
    )
    content = build_onnx(model, classes=len(labels), metadata=metadata).SerializeToString(deterministic=True)
    write_whole(MODEL_FILE, content)
    print(f"{MODEL_FILE}: {len(content):,} bytes, ONNX opset {OPSET}")


if __name__ == "__main__":
    run(main)
