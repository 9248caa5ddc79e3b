"""Inference replies of the Open Inference Protocol: JSON, or JSON with binary tensors after it."""

from typing import Any

import numpy as np

from mnist_serving.classifier import Floats, Prediction

from .infer_request import InferRequest, Output
from .json_body import json_response
from .transport import Response

MODEL_NAME = "mnist"
MODEL_VERSION = "1"
BINARY = "application/octet-stream"


def render_infer_reply(request: InferRequest, prediction: Prediction, rows: slice, *, request_id: str) -> Response:
    """Return the reply to an inference request.

    Args:
        request: which outputs, in which form.
        prediction: for the request's images and others.
        rows: which are the request's.
        request_id: the reply's id if the client gave none.

    """
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for output in request.outputs:
        tensor, raw = _render_output(output, _scores(prediction, output.name)[rows], prediction.names)
        outputs.append(tensor)
        if raw is not None:
            binary.append(raw)
    document = {
        "model_name": MODEL_NAME,
        "model_version": MODEL_VERSION,
        "id": request_id if request.id is None else request.id,
        "outputs": outputs,
    }
    response = json_response(document)
    if binary:
        response.headers["Inference-Header-Content-Length"] = str(len(response.body))
        response.content_type = BINARY
        response.body = b"".join([response.body, *binary])
    return response


def _scores(prediction: Prediction, name: str) -> Floats:
    """Return an output, float32 [N,numbers]."""
    scores: Floats = getattr(prediction, name)
    return scores.reshape(len(scores), -1)


def _render_output(output: Output, scores: Floats, labels: tuple[str, ...]) -> tuple[dict[str, Any], bytes | None]:
    """Return an output's JSON, and its bytes if it is binary; scores are [N,classes]."""
    tensor: dict[str, Any] = {"name": output.name}
    if output.classes:
        ranking = [entry for row in scores for entry in _best_classes(row, output.classes, labels)]
        tensor |= {"datatype": "BYTES", "shape": [len(scores), len(ranking) // len(scores)]}
    else:
        tensor |= {"datatype": "FP32", "shape": list(scores.shape)}
    if not output.binary:
        tensor["data"] = ranking if output.classes else scores.ravel()
        return tensor, None
    raw = b"".join(map(_length_prefixed, ranking)) if output.classes else scores.astype("<f4", copy=False).tobytes()
    tensor["parameters"] = {"binary_data_size": len(raw)}
    return tensor, raw


def _best_classes(scores: Floats, k: int, labels: tuple[str, ...]) -> list[str]:
    """Return the k best classes, or all if k is larger, as `value:index:label`, highest first.

    An output that has no number for each class has no labels, and gives `value:index`.
    """
    best = np.argsort(-scores, kind="stable")[:k].tolist()
    names = [f":{label}" for label in labels] if len(labels) == len(scores) else [""] * len(scores)
    return [f"{scores[index]:f}:{index}{names[index]}" for index in best]


def _length_prefixed(text: str) -> bytes:
    """Return a BYTES element: its length as little-endian uint32, then itself."""
    content = text.encode()
    return len(content).to_bytes(4, "little") + content
