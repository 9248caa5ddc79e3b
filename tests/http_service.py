"""The service without a server, for the tests: send requests, read replies."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
from mnist_serving.classifier import Classifier
from mnist_serving.http.limits import Limits
from mnist_serving.http.service import Service
from mnist_serving.http.transport import Request, Response

INFER = "/v2/models/mnist/infer"
JSON = {b"content-type": b"application/json"}
GREY = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8)  # some picture, 0 to 54
CLASSIFIER = Classifier()


def make_service(*, root_path: str = "", origins: tuple[str, ...] = (), **limits: int) -> Service:
    service = Service(Limits(**limits), root_path=root_path, origins=origins)
    service.open(CLASSIFIER)
    return service


def ask(  # noqa: PLR0913 (the parts of a request)
    service: Service,
    path: str,
    body: bytes = b"",
    headers: dict[bytes, bytes] | None = None,
    *,
    method: str = "",
    query: str = "",
) -> Response:
    request = Request(method or ("POST" if body else "GET"), path, headers or {}, body, query=query)
    outcome = service.answer(request)
    return outcome if isinstance(outcome, Response) else next(service.run([outcome]))


def ask_json(service: Service, path: str, document: object, **headers: bytes) -> Response:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return ask(service, path, json.dumps(document).encode(), JSON | named)


def error_of(response: Response) -> str:
    assert response.content_type == "application/json"
    document = json.loads(response.body)
    assert list(document) == ["error"]
    return str(document["error"])


def infer_document(images: npt.NDArray[np.uint8], **changes: object) -> dict[str, Any]:
    tensor = {"name": "image", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
    return {"inputs": [tensor | changes]}


def infer_binary(images: npt.NDArray[np.uint8], **request: object) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the body and the header of a request with a binary tensor."""
    tensor: dict[str, Any] = {"name": "image", "shape": list(images.shape), "datatype": "UINT8"}
    tensor["parameters"] = {"binary_data_size": images.nbytes}
    head = json.dumps({"inputs": [tensor], **request}).encode()
    return head + images.tobytes(), {b"inference-header-content-length": str(len(head)).encode()}


def split_reply(response: Response) -> tuple[dict[str, Any], bytes]:
    """Return the JSON and the binary part of a reply."""
    length = int(response.headers["Inference-Header-Content-Length"])
    return json.loads(response.body[:length]), response.body[length:]
