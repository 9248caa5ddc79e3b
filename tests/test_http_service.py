"""The service without a server: its health, its paths, its pages, and what it says when it fails."""

import json
import re
from urllib.parse import quote

import numpy as np
import pytest
from mnist_serving.http.jobs import Job
from mnist_serving.http.service import Service
from mnist_serving.http.transport import Request

from tests.http_service import CLASSIFIER, INFER, JSON, ask, ask_json, error_of, make_service


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service()


def test_health_and_metadata_have_the_keys_that_clients_read(service: Service) -> None:
    assert json.loads(ask(service, "/v2/health/live").body) == {"live": True, "ready": True}
    assert json.loads(ask(service, "/v2/health/ready").body) == {"live": True, "ready": True}
    assert json.loads(ask(service, "/v2/models/mnist/ready").body) == {"name": "mnist", "ready": True}
    assert json.loads(ask(service, "/v2").body)["extensions"] == [
        "binary_tensor_data",
        "classification",
        "model_configuration",
    ]
    assert ask(service, "/v2/").body == ask(service, "/v2").body
    metadata = json.loads(ask(service, "/v2/models/mnist").body)
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, 28, 28]}]
    assert [output["name"] for output in metadata["outputs"]] == ["logits", "probabilities", "digit"]


@pytest.mark.parametrize("end", ["", "/ready"])
def test_the_path_may_have_the_version_and_encoded_names(service: Service, end: str) -> None:
    plain = ask(service, f"/v2/models/mnist{end}")
    assert ask(service, f"/v2/models/mnist/versions/1{end}").body == plain.body
    assert ask(service, f"/v2/models/%6dnist{end}").body == plain.body


def test_before_a_model_is_loaded_the_service_is_alive_and_not_ready() -> None:
    service = Service()
    assert ask(service, "/v2/health/live").status == 200
    for path in ("/v2/health/ready", "/v2/models/mnist/ready", "/v2/models/mnist", "/openapi.json"):
        response = ask(service, path)
        assert (response.status, error_of(response)) == (503, "the model is not loaded yet; try again")
        assert "Retry-After" in response.headers
    assert ask_json(service, "/predict", {"image": [0] * 784}).status == 503


def test_a_closing_service_is_not_ready_but_answers() -> None:
    service = make_service()
    service.close()
    assert ask(service, "/v2/health/ready").status == 503
    assert ask_json(service, "/predict", {"image": [0] * 784}).status == 200


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v2/models/iris", "unknown model 'iris'"),
        ("/v2/models/mnist/versions/7/ready", "unknown version '7'"),
        ("/../../etc/passwd", "unknown path"),
        ("/v2/models/mnist%2finfer", "unknown model"),
        ("//v2", "unknown path"),
        ("*", "unknown path"),
        ("/%ff%00", "unknown path"),
    ],
)
def test_an_unknown_path_is_a_404_that_says_what_is_missing(service: Service, path: str, told: str) -> None:
    response = ask(service, path)
    assert response.status == 404
    assert told in error_of(response)


@pytest.mark.parametrize(("method", "path"), [("GET", "/predict"), ("DELETE", "/v2"), ("PUT", INFER)])
def test_a_wrong_method_is_a_405_that_names_the_right_one(service: Service, method: str, path: str) -> None:
    response = ask(service, path, method=method)
    assert response.status == 405
    assert error_of(response).startswith(method)
    assert response.headers["Allow"]


# --- below a path -----------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["/digits", "/my digits", "/a/b", "/zürich"])
def test_below_a_root_path_everything_is_found_whether_a_proxy_takes_it_off_or_not(root: str) -> None:
    service = make_service(root_path=root)
    for path in ("/v2/models/mnist", "/docs", "/", "/metrics"):
        assert ask(service, quote(root) + path).status == 200
        assert ask(service, path).status == 200
    assert "unknown model 'iris'" in error_of(ask(service, f"{quote(root)}/v2/models/iris"))
    assert error_of(ask(service, "/nowhere")).endswith(f"; {quote(root)}/docs lists the paths")
    redirect = ask(service, quote(root), headers={b"host": b"evil.example", b"x-forwarded-prefix": b"/evil"})
    assert (redirect.status, redirect.headers["Location"]) == (307, f"{quote(root)}/")
    described = json.loads(ask(service, f"{quote(root)}/openapi.json").body)
    assert described["servers"] == [{"url": quote(root)}]
    assert "servers" not in json.loads(ask(make_service(), "/openapi.json").body)


def test_the_page_finds_the_service_also_where_a_proxy_has_taken_the_root_path_off() -> None:
    page = ask(make_service(root_path='/my "digits"'), "/")
    assert b'<head><base href="/my%20%22digits%22/">' in page.body
    assert "base-uri 'self'" in page.headers["Content-Security-Policy"]
    page = ask(make_service(), "/")
    assert b"<base" not in page.body
    assert "base-uri 'none'" in page.headers["Content-Security-Policy"]


def test_a_root_path_ends_at_a_slash() -> None:
    assert ask(make_service(root_path="/v2/mo"), "/v2/models/mnist").status == 200
    assert ask(make_service(root_path="/p"), "/predict").status == 405
    assert ask(make_service(root_path="/p"), "/pp/predict").status == 404


# --- pages, failures ----------------------------------------------------------------------------------


def test_the_pages_load_nothing_from_elsewhere(service: Service) -> None:
    for path in ("/", "/docs"):
        page = ask(service, path)
        assert page.content_type.startswith("text/html")
        assert not re.search(r"(src|href)=.(https?:)?//", page.body.decode())


def test_the_model_route_gives_the_metadata_without_the_golden_examples(service: Service) -> None:
    model = json.loads(ask(service, "/model").body)
    assert model["labels"] == [*CLASSIFIER.labels]
    assert model["sha256"] == CLASSIFIER.checksum
    assert 0.9 < model["accuracy"] < 1
    assert "golden" not in model
    assert ask(Service(), "/model").status == 503


def test_a_failure_of_the_server_is_a_500_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    service = make_service()
    service._classifier = object()  # type: ignore[assignment]
    response = ask(service, "/v2/models/mnist")
    assert response.status == 500
    assert "Traceback" not in error_of(response)
    assert "AttributeError" in caplog.text


def test_a_model_that_fails_is_a_500_for_its_requests(caplog: pytest.LogCaptureFixture) -> None:
    service = make_service()
    request = Request("POST", "/predict", JSON, json.dumps({"image": [0] * 784}).encode())
    job = service.answer(request)
    assert isinstance(job, Job)
    job.images = np.zeros((1, 1), np.uint8)
    assert [response.status for response in service.run([job, job])] == [500, 500]
    assert "the model failed" in caplog.text
