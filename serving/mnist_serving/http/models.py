"""What the service says of its model, as each protocol wants it."""

from typing import Any

from mnist_serving.classifier import Classifier
from mnist_serving.metadata import Contract

from .infer_reply import MODEL_NAME, MODEL_VERSION
from .infer_request import DATATYPE, INPUT, SERVED_OUTPUTS

PLATFORM = "onnx_onnxv1"


def describe_model(classifier: Classifier) -> dict[str, Any]:
    """Return what the model file says of itself, without its golden examples."""
    metadata = {key: value for key, value in classifier.contract.decoded().items() if key != "golden"}
    return {"sha256": classifier.checksum, **metadata}


def output_width(name: str, contract: Contract) -> int:
    """Return how many numbers an output has for an image."""
    return 1 if name == "digit" else len(contract.labels)


def v2_metadata(contract: Contract) -> dict[str, Any]:
    """Return the metadata of the Open Inference Protocol."""
    return {
        "name": MODEL_NAME,
        "versions": [MODEL_VERSION],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": DATATYPE, "shape": [-1, *contract.image_shape]}],
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": [-1, output_width(name, contract)]} for name in SERVED_OUTPUTS
        ],
    }


def triton_config(contract: Contract, *, most_images: int) -> dict[str, Any]:
    """Return the model configuration that Triton's tools ask for at their start; its shapes leave out the batch."""
    return {
        "name": MODEL_NAME,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [int(MODEL_VERSION)]}},
        "max_batch_size": most_images,
        "input": [{"name": INPUT, "data_type": f"TYPE_{DATATYPE}", "dims": [*contract.image_shape]}],
        "output": [
            {"name": name, "data_type": "TYPE_FP32", "dims": [output_width(name, contract)]} for name in SERVED_OUTPUTS
        ],
    }


def triton_index(*, ready: bool) -> list[dict[str, str]]:
    """Return the one entry of Triton's repository index."""
    return [{"name": MODEL_NAME, "version": MODEL_VERSION, "state": "READY" if ready else "UNAVAILABLE"}]


def v1_status() -> dict[str, Any]:
    """Return the model's state: KServe's V1 clients read `ready`, TensorFlow Serving's the rest."""
    status = {"error_code": "OK", "error_message": ""}
    versions = [{"version": MODEL_VERSION, "state": "AVAILABLE", "status": status}]
    return {"name": MODEL_NAME, "ready": True, "model_version_status": versions}
