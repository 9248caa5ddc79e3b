"""What Triton's tools, KServe's V1 clients and TensorFlow Serving's ask for. test_http_infer.py has inference by V2."""

import json
from collections.abc import Callable

import pytest
from mnist_serving.http.service import Service

from tests.http_service import CLASSIFIER, ask, ask_json, error_of, make_service

ZERO = CLASSIFIER.contract.golden.images[2, 0]


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service()


def test_tritons_tools_get_the_models_configuration_and_the_index(service: Service) -> None:
    config = json.loads(ask(service, "/v2/models/mnist/versions/1/config").body)
    assert config["input"] == [{"name": "image", "data_type": "TYPE_UINT8", "dims": [1, 28, 28]}]
    assert [(output["name"], output["dims"]) for output in config["output"]][2] == ("digit", [1])
    index = ask(service, "/v2/repository/index", method="POST")
    assert json.loads(index.body) == [{"name": "mnist", "version": "1", "state": "READY"}]
    for path in ("/v2/models/mnist/stats", "/v2/systemsharedmemory/status", "/v2/trace/setting"):
        assert "unknown path" in error_of(ask(service, path))


@pytest.mark.parametrize(
    "wrap", [lambda image: image, lambda image: {"image": image}, lambda image: {"x": {"b64": image}}]
)
def test_the_v1_protocol_works(service: Service, wrap: Callable[[object], object]) -> None:
    assert json.loads(ask(service, "/v1/models").body) == {"models": ["mnist"]}
    assert json.loads(ask(service, "/v1/models/mnist").body)["ready"] is True
    document = {"signature_name": "serving_default", "instances": [wrap(ZERO.tolist()), wrap(ZERO.ravel().tolist())]}
    for path in ("/v1/models/mnist:predict", "/v1/models/mnist/versions/1:predict", "/v1/models/mnist%3Apredict"):
        predictions = json.loads(ask_json(service, path, document).body)["predictions"]
        assert [prediction["label"] for prediction in predictions] == ["0", "0"]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "`instances`"),
        ({"instances": []}, "at least one"),
        ({"instances": {"a": 1}}, "at least one"),
        ({"instances": [1]}, "`instances[0]`"),
        ({"inputs": [[0] * 784]}, "`instances`"),
        ({"instances": ["seven"]}, "base64"),
    ],
)
def test_the_v1_protocol_refuses(service: Service, document: object, told: str) -> None:
    response = ask_json(service, "/v1/models/mnist:predict", document)
    assert response.status == 400
    assert told in error_of(response)
    assert "unknown model 'iris'" in error_of(ask_json(service, "/v1/models/iris:predict", document))
