"""The service without a server: requests in, replies out. test_http_infer.py has the Open Inference Protocol."""

import io
import json
import re
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from mnist_serving.http.clients import Clients
from mnist_serving.http.jobs import Job
from mnist_serving.http.service import Service
from mnist_serving.http.transport.http_types import Request
from PIL import Image

from tests.http_service import (
    CLASSIFIER,
    GREY,
    INFER,
    JSON,
    ask,
    ask_json,
    error_of,
    infer_document,
    make_service,
)

ZERO = CLASSIFIER.contract.golden.images[2, 0]
ONE_IMAGE = json.dumps({"image": GREY.tolist()}).encode()


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service()


# --- health and metadata ---------------------------------------------------------------------------


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
        ("/v2/models/iris", "no model 'iris'"),
        ("/v2/models/mnist/versions/7/ready", "no version '7'"),
        ("/../../etc/passwd", "nothing at"),
        ("/v2/models/mnist%2finfer", "no model"),
        ("//v2", "nothing at"),
        ("*", "nothing at"),
        ("/%ff%00", "nothing at"),
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
    redirect = ask(service, quote(root), headers={b"host": b"evil.example", b"x-forwarded-prefix": b"/evil"})
    assert (redirect.status, redirect.headers["Location"]) == (307, f"{quote(root)}/")
    described = json.loads(ask(service, f"{quote(root)}/openapi.json").body)
    assert described["servers"] == [{"url": quote(root)}]
    assert "servers" not in json.loads(ask(make_service(), "/openapi.json").body)


def test_a_root_path_ends_at_a_slash() -> None:
    assert ask(make_service(root_path="/v2/mo"), "/v2/models/mnist").status == 200
    assert ask(make_service(root_path="/p"), "/predict").status == 405
    assert ask(make_service(root_path="/p"), "/pp/predict").status == 404


# --- /predict ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(784,), (28, 28), (1, 28, 28)])
def test_predict_takes_an_image_in_three_shapes(service: Service, shape: tuple[int, ...]) -> None:
    response = ask_json(service, "/predict", {"image": GREY.reshape(shape).tolist()})
    (prediction,) = json.loads(response.body)["predictions"]
    expected = CLASSIFIER.predict(GREY[None])
    assert prediction["label"] == expected.labels[0]
    assert np.array_equal(np.float32(prediction["probabilities"]), expected.probabilities[0])
    assert prediction["probability"] == max(prediction["probabilities"])
    assert prediction["abstained"] is bool(expected.abstained[0])


def test_predict_takes_several_images_and_answers_in_their_order(service: Service) -> None:
    images = [GREY, GREY[::-1], GREY * 4]
    together = json.loads(ask_json(service, "/predict", {"images": [image.tolist() for image in images]}).body)
    alone = [json.loads(ask_json(service, "/predict", {"image": image.tolist()}).body) for image in images]
    assert [p["label"] for p in together["predictions"]] == [a["predictions"][0]["label"] for a in alone]


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_predict_takes_a_picture_file(service: Service, form: str) -> None:
    page = Image.new("L", (200, 300), 250)
    page.paste(10, (90, 60, 110, 240))
    content = io.BytesIO()
    page.save(content, form)
    response = ask(service, "/predict", content.getvalue(), {b"content-type": f"image/{form.lower()}".encode()})
    assert response.status == 200, response.body
    assert len(json.loads(response.body)["predictions"]) == 1


def test_predict_shows_what_the_model_saw_if_asked(service: Service) -> None:
    body = json.dumps({"images": [GREY.tolist(), (GREY * 4).tolist()]}).encode()
    response = ask(service, "/predict", body, JSON, query="other=1&seen=true")
    predictions = json.loads(response.body)["predictions"]
    assert [prediction["seen"] for prediction in predictions] == [GREY.ravel().tolist(), (GREY * 4).ravel().tolist()]


@pytest.mark.parametrize("query", ["", "seen=false", "unknown=1", "seens=true"])
def test_predict_gives_five_keys_by_default_and_a_reason_where_it_abstains(service: Service, query: str) -> None:
    sure = json.dumps({"image": ZERO.tolist()}).encode()
    keys = ["label", "probability", "probabilities", "digit", "abstained"]
    for body, more in ((sure, []), (ONE_IMAGE, ["reason"])):
        (prediction,) = json.loads(ask(service, "/predict", body, JSON, query=query).body)["predictions"]
        assert list(prediction) == keys + more


def test_an_image_that_is_black_on_white_gets_a_hint(service: Service) -> None:
    images = [ZERO.tolist(), (255 - ZERO).tolist()]
    right, wrong = json.loads(ask_json(service, "/predict", {"images": images}).body)["predictions"]
    assert "hint" not in right
    assert "invert" in wrong["hint"]


@pytest.mark.parametrize("query", ["seen", "seen=", "seen=yes", "seen=True", "seen=true&seen=false", "seen=%ff"])
def test_a_flag_that_is_neither_true_nor_false_is_refused(service: Service, query: str) -> None:
    response = ask(service, "/predict", ONE_IMAGE, JSON, query=query)
    assert (response.status, error_of(response)) == (400, "`seen` must be true or false")


def png_of_size(side: int) -> bytes:
    """Return a small PNG file that is a huge picture."""
    content = io.BytesIO()
    Image.new("1", (side, side)).save(content, "PNG")
    return content.getvalue()


def test_files_that_are_not_pictures_or_too_large_or_blank_are_refused(service: Service) -> None:
    for content, told in [
        (b"GIF89a", "cannot be read as PNG, JPEG"),
        (png_of_size(5000), "pixels"),
        (png_of_size(300)[:60], "damaged"),
        (png_of_size(300), ""),
    ]:
        response = ask(service, "/predict", content, {b"content-type": b"image/png"})
        assert response.status == 400
        assert told in error_of(response)


ZEROS = "0," * 783
BAD_PREDICT = {
    "empty": (b"", "empty"),
    "not JSON": (b"{", "not valid JSON"),
    "a list": (b"[]", "list"),
    "bad UTF-8": (b'{"image": "\xff"}', "not valid JSON"),
    "NaN": (f'{{"image": [{ZEROS} NaN]}}'.encode(), "not valid JSON"),
    "1e400": (f'{{"image": [{ZEROS} 1e400]}}'.encode(), "not valid JSON"),
    "negative": (f'{{"image": [{ZEROS} -1]}}'.encode(), "holds -1"),
    "256": (f'{{"image": [{ZEROS} 256]}}'.encode(), "holds 256"),
    "huge": (f'{{"image": [{ZEROS} {2**64 - 1}]}}'.encode(), "holds 1844"),
    "a fraction": (f'{{"image": [{ZEROS} 0.5]}}'.encode(), "holds 0.5"),
    "a string": (f'{{"image": [{ZEROS} "7"]}}'.encode(), "holds '7'"),
    "true": (f'{{"image": [{ZEROS} true]}}'.encode(), "holds True"),
    "null": (f'{{"image": [{ZEROS} null]}}'.encode(), "holds None"),
    "too short": (b'{"image": [0, 0]}', "784 numbers"),
    "ragged": (json.dumps({"image": [[0] * 28] * 27 + [[0] * 27]}).encode(), "27 where it must have 28"),
    "mixed": (json.dumps({"image": [[0] * 28] * 27 + [0]}).encode(), "a number where it must have a list"),
    "an object for a pixel": (f'{{"image": [{ZEROS} {{}}]}}'.encode(), "an object"),
    "a key twice": (f'{{"image": [{ZEROS} 0], "image": [{ZEROS} 1]}}'.encode(), "twice"),
    "both keys": (b'{"image": [], "images": []}', "either"),
    "no key": (b"{}", "either"),
    "no images": (b'{"images": []}', "at least one"),
    "nested deep": (b'{"image": ' + b"[" * 250_000, "not valid JSON"),
    "objects nested deep": (b'{"a":' * 900 + b"1" + b"}" * 900, "either"),
    "a key twice, nested deep": (b'{"a":1,"a":' + b"[" * 1000 + b"]" * 1000 + b"}", "too deep"),
}


@pytest.mark.parametrize("name", BAD_PREDICT)
def test_predict_refuses(service: Service, name: str) -> None:
    body, told = BAD_PREDICT[name]
    response = ask(service, "/predict", body, JSON, method="POST")
    assert response.status == 400
    assert told in error_of(response)


def test_more_images_than_allowed_are_a_413() -> None:
    service = make_service(images=2)
    assert ask_json(service, "/predict", {"images": [[0] * 784] * 2}).status == 200
    assert ask_json(service, "/predict", {"images": [[0] * 784] * 3}).status == 413
    assert ask_json(service, INFER, infer_document(np.zeros((3, 1, 28, 28), np.uint8))).status == 413


@pytest.mark.parametrize("path", ["/predict", INFER])
def test_an_unsupported_content_type_is_a_415_that_names_the_supported_ones(service: Service, path: str) -> None:
    response = ask(service, path, b"a=1", {b"content-type": b"application/x-www-form-urlencoded"})
    assert response.status == 415
    assert "application/json" in error_of(response)


# --- what Triton's tools, KServe's V1 clients and TensorFlow Serving's ask for ---------------------------


def test_tritons_tools_get_the_models_configuration_and_the_index(service: Service) -> None:
    config = json.loads(ask(service, "/v2/models/mnist/versions/1/config").body)
    assert config["input"] == [{"name": "image", "data_type": "TYPE_UINT8", "dims": [1, 28, 28]}]
    assert [(output["name"], output["dims"]) for output in config["output"]][2] == ("digit", [1])
    index = ask(service, "/v2/repository/index", method="POST")
    assert json.loads(index.body) == [{"name": "mnist", "version": "1", "state": "READY"}]
    for path in ("/v2/models/mnist/stats", "/v2/systemsharedmemory/status", "/v2/trace/setting"):
        assert "nothing at" in error_of(ask(service, path))


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
    assert "no model 'iris'" in error_of(ask_json(service, "/v1/models/iris:predict", document))


# --- other sites' pages -----------------------------------------------------------------------------------

ORIGIN = {b"origin": b"https://a.example"}
ASKS = ORIGIN | {b"access-control-request-method": b"POST", b"access-control-request-headers": b"content-type"}


@pytest.mark.parametrize("origins", [("https://a.example", "https://b.example"), ("*",)])
def test_a_page_of_an_allowed_origin_may_ask_and_read_replies_and_errors(origins: tuple[str, ...]) -> None:
    service = make_service(origins=origins)
    allowed = "*" if origins == ("*",) else "https://a.example"
    preflight = ask(service, "/predict", headers=ASKS, method="OPTIONS")
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type"
    packed = ORIGIN | {b"accept-encoding": b"gzip"}
    replies = [ask(service, path, headers=packed) for path in ("/v2", "/openapi.json", "/nowhere", "/predict")]
    assert [reply.status for reply in replies] == [200, 200, 404, 405]
    for reply in (preflight, *replies):
        assert reply.headers["Access-Control-Allow-Origin"] == allowed
        assert ("Origin" in reply.headers.get("Vary", "")) is (allowed != "*")
    assert "Accept-Encoding" in replies[1].headers["Vary"]


def test_a_page_of_another_origin_is_told_nothing() -> None:
    for service in (make_service(), make_service(origins=("https://b.example",))):
        for reply in (ask(service, "/predict", headers=ASKS, method="OPTIONS"), ask(service, "/v2", headers=ORIGIN)):
            assert not [name for name in reply.headers if name.startswith("Access-Control")]
    assert ask(service, "/predict", headers=ASKS, method="OPTIONS").status == 405


# --- clients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "forwarded", "named"),
    [
        ("192.0.2.1", b"198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", b"198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", b"203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", b"198.51.100.7, evil\x1b[31m", "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("::1", b"2001:db8::7", "2001:db8::7"),
        ("", b"198.51.100.7", "198.51.100.7"),
    ],
)
def test_only_a_trusted_proxy_may_name_the_client(client: str, forwarded: bytes, named: str) -> None:
    headers = {b"x-forwarded-for": forwarded} if forwarded else {}
    request = Request("GET", "/", headers, client=client)
    assert Clients(("10.0.0.0/8", "::1/128", "unix")).find(request) == named
    assert Clients(()).find(request) == (client or "unix")


# --- pages, metrics ------------------------------------------------------------------------------------


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


def test_metrics_count_requests_images_and_abstentions() -> None:
    service = make_service()
    ask_json(service, "/predict", {"images": [[0] * 784] * 3})
    ask(service, "/nowhere")
    ask(service, "/predict", method="PUT")
    text = ask(service, "/metrics").body.decode()
    assert 'mnist_requests_total{route="/predict",status="200"} 1.0' in text
    assert 'mnist_requests_total{route="other",status="404"} 1.0' in text
    assert 'mnist_requests_total{route="/predict",status="405"} 1.0' in text
    assert "mnist_images_total 3.0" in text
    assert (
        f'mnist_predictions_total{{label="{CLASSIFIER.predict(np.zeros((28, 28), np.uint8)).labels[0]}"}} 3.0' in text
    )
    assert text.count("mnist_predictions_total{") == 10
    assert "mnist_batch_images_count 1.0" in text
    abstained = int(CLASSIFIER.predict(np.zeros((3, 28, 28), np.uint8)).abstained.sum())
    assert f"mnist_abstained_total {abstained}.0" in text
    assert f'sha256="{CLASSIFIER.checksum}"' in text


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
