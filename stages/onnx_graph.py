"""The classifier and the detector as one ONNX graph, from raw pixels to probabilities.

Layers that `_translate` knows become nodes of opset 12, which runtimes since 2020 load. A network with any other layer
goes through PyTorch's own exporter, which needs opset 18.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from io import StringIO
from typing import Any, NamedTuple

import onnx
import torch
from onnx import NodeProto, TensorProto, compose, helper, numpy_helper
from torch import Tensor, nn

from stages.data import Shape
from stages.io import StageError

OPSET = 12  # what onnxruntime has loaded since 1.3, and Windows ML and OpenCV load
TORCH_OPSET = 18  # the lowest that PyTorch's exporter writes; onnxruntime has loaded it since 1.14


class Translation(NamedTuple):
    """A network's nodes and weights, and the opset that its operators need."""

    nodes: list[NodeProto]
    weights: list[TensorProto]
    opset: int


def build_onnx(
    model: nn.Module, detector: nn.Module, shape: Shape, *, classes: int, temperature: float
) -> onnx.ModelProto:
    """Translate classifier and detector into one graph.

    From `image`, raw pixels, to `logits`, `probabilities` = softmax(logits / temperature), and
    `digit` [batch,1] = sigmoid(the detector's logit), how probable it is that the picture is a digit at all.

    Raises:
        StageError: a model cannot be exported.

    """
    classifier = _translate_network(model, shape, "logits", prefix="classifier")
    digit = _translate_network(detector, shape, "detector_logit", prefix="detector")
    nodes = [
        helper.make_node("Cast", ["image"], ["grey"], name="to_float", to=TensorProto.FLOAT),
        helper.make_node("Div", ["grey", "white"], ["scaled"], name="scale"),
        *classifier.nodes,
        helper.make_node("Div", ["logits", "temperature"], ["calibrated"], name="calibrate"),
        helper.make_node("Softmax", ["calibrated"], ["probabilities"], name="softmax", axis=1),
        *digit.nodes,
        helper.make_node("Sigmoid", ["detector_logit"], ["digit"], name="sigmoid"),
    ]
    scalars = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in (("white", 255.0), ("temperature", temperature))
    ]
    outputs = {"logits": classes, "probabilities": classes, "digit": 1}
    graph = helper.make_graph(
        nodes,
        "mnist",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in outputs.items()],
        [*scalars, *classifier.weights, *digit.weights],
    )
    opsets = [helper.make_opsetid("", max(classifier.opset, digit.opset))]
    ir_version = helper.find_min_ir_version_for(opsets)
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name="mnist-serving")


def _translate_network(network: nn.Module, shape: Shape, target: str, *, prefix: str) -> Translation:
    """Translate a network, from the tensor `scaled` to `target`, by hand or else by PyTorch's exporter."""
    translation = _translate_layers(network, target, prefix=prefix) or _export_by_torch(
        network, shape, target, prefix=prefix
    )
    for number, node in enumerate(translation.nodes):
        node.name = f"{prefix}.{number}.{node.op_type}"
    return translation


def _translate_layers(network: nn.Module, target: str, *, prefix: str) -> Translation | None:
    """Translate a network layer by layer, or return None where that is not possible."""
    nodes, source = [], "scaled"
    if not isinstance(network, nn.Sequential) or not all(map(_is_torchs_own, [network, *network])):
        return None
    for number, layer in enumerate(network):
        output = target if number == len(network) - 1 else f"{prefix}.{number}.output"
        node = _translate(layer, source, output, prefix=f"{prefix}.{number}")
        if node is None:
            return None
        nodes.append(node)
        source = output
    weights = network.state_dict().items()
    tensors = [numpy_helper.from_array(tensor.numpy(), f"{prefix}.{name}") for name, tensor in weights]
    return Translation(nodes, tensors, OPSET)


def _is_torchs_own(layer: nn.Module) -> bool:
    """Tell a layer of PyTorch from a class derived from it, or one with hooks, which may compute something else."""
    hooks = layer._forward_hooks or layer._forward_pre_hooks  # noqa: SLF001 (PyTorch has no other way to ask)
    return type(layer).__module__.startswith("torch.nn.modules.") and not hooks


def _translate(layer: nn.Module, source: str, target: str, *, prefix: str) -> NodeProto | None:
    """Return the ONNX node of a layer, or None where no case knows it.

    Weights are initializers with their names in `state_dict`. A pattern names every setting of the layer that the
    node does not say: another value is another layer.
    """
    attributes: dict[str, Any] = {}
    match layer:
        case nn.Flatten(start_dim=1, end_dim=-1):
            operator, attributes = "Flatten", {"axis": 1}
        case nn.Linear(bias=Tensor()):
            operator, attributes = "Gemm", {"transB": 1}
        case nn.Conv2d(bias=Tensor(), padding=(rows, columns), dilation=(1, 1), groups=1, padding_mode="zeros"):
            operator, attributes = "Conv", {"pads": [rows, columns] * 2, "strides": layer.stride}
        case nn.AvgPool2d(kernel_size=int(side), stride=stride, padding=0, ceil_mode=False, divisor_override=None) if (
            side == stride
        ):
            operator, attributes = "AveragePool", {"kernel_shape": [side] * 2, "strides": [side] * 2}
        case nn.ReLU():
            operator = "Relu"
        case _:
            return None
    weights = [f"{prefix}.{name}" for name in layer.state_dict()]
    return helper.make_node(operator, [source, *weights], [target], **attributes)


def _export_by_torch(network: nn.Module, shape: Shape, target: str, *, prefix: str) -> Translation:
    """Translate a network by PyTorch's exporter.

    Raises:
        StageError: it cannot.

    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    try:
        with _silenced():
            program = torch.onnx.export(
                deepcopy(network).eval(),
                (torch.zeros(2, *shape),),
                input_names=["scaled"],
                output_names=[target],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=TORCH_OPSET,
                verbose=False,
            )
    except Exception as error:  # whatever a model's own code raises
        raise not_exportable(error.__cause__ or error) from error
    assert program is not None  # noqa: S101 (the exporter before this one returned None)
    ClearMetadataAndDocStringPass()(program.model)  # stack traces with this machine's paths
    exported = program.model_proto.graph
    if not exported.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise StageError(
            "the model's `forward` fixes the number of images: write `images.shape[0]` for `len(images)`, and no loop "
            "over the images"
        )
    graph = compose.add_prefix_graph(exported, f"{prefix}.", rename_inputs=False, rename_outputs=False)
    return Translation([*graph.node], [*graph.initializer], TORCH_OPSET)


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep to itself what PyTorch's exporter warns of, logs and prints: it speaks to its own authors."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(action="ignore"), redirect_stderr(StringIO()):
        logging.disable()
        try:
            yield
        finally:
            logging.disable(before)


def not_exportable(error: BaseException) -> StageError:
    """Return the error to raise for one from PyTorch, onnx or onnxruntime."""
    return StageError(
        f"the model cannot be exported to ONNX: {first_line(error)}; change its `forward` to what torch.export takes "
        "(https://docs.pytorch.org/docs/stable/export.html)"
    )


def first_line(error: BaseException) -> str:
    """Return an error's first line, or its type where it has no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def serialize(model: onnx.ModelProto, *, metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of the checked ONNX model with its contract in `metadata_props`."""
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
