"""The service without a server: requests in, replies out."""

import gzip
import io
import json
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mnist_serving.classifier import Classifier
from mnist_serving.http.limits import Limits
from mnist_serving.http.messages import Job, Request, Response
from mnist_serving.http.service import Service
from PIL import Image

INFER = "/v2/models/mnist/infer"
JSON = {b"content-type": b"application/json"}
GREY = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8)  # some picture, 0 to 54
CLASSIFIER = Classifier()
ONE_IMAGE = json.dumps({"image": GREY.tolist()}).encode()


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service()


def make_service(**limits: int) -> Service:
    service = Service(Limits(**limits))
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
    if isinstance(outcome, Job):
        return service.complete(request, outcome, service.predict(outcome.images))
    return outcome


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


# --- health and metadata ---------------------------------------------------------------------------


def test_health_and_metadata_have_the_keys_that_clients_read(service: Service) -> None:
    assert json.loads(ask(service, "/v2/health/live").body) == {"live": True, "ready": True}
    assert json.loads(ask(service, "/v2/health/ready").body) == {"live": True, "ready": True}
    assert json.loads(ask(service, "/v2/models/mnist/ready").body) == {"name": "mnist", "ready": True}
    assert json.loads(ask(service, "/v2").body)["extensions"] == ["binary_tensor_data", "classification"]
    assert ask(service, "/v2/").body == ask(service, "/v2").body
    metadata = json.loads(ask(service, "/v2/models/mnist").body)
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, 28, 28]}]
    assert [output["name"] for output in metadata["outputs"]] == ["logits", "probabilities"]


@pytest.mark.parametrize("end", ["", "/ready"])
def test_the_version_may_stand_in_the_path_and_names_may_be_encoded(service: Service, end: str) -> None:
    plain = ask(service, f"/v2/models/mnist{end}")
    assert ask(service, f"/v2/models/mnist/versions/1{end}").body == plain.body
    assert ask(service, f"/v2/models/%6dnist{end}").body == plain.body


def test_before_a_model_is_loaded_the_service_is_alive_and_not_ready() -> None:
    service = Service()
    assert ask(service, "/v2/health/live").status == 200
    for path in ("/v2/health/ready", "/v2/models/mnist/ready", "/v2/models/mnist", "/openapi.json", "/docs"):
        response = ask(service, path)
        assert (response.status, error_of(response)) == (503, "the model is not loaded yet")
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


def test_predict_shows_what_the_model_saw_where_it_is_asked_to(service: Service) -> None:
    body = json.dumps({"images": [GREY.tolist(), (GREY * 4).tolist()]}).encode()
    response = ask(service, "/predict", body, JSON, query="other=1&seen=true")
    predictions = json.loads(response.body)["predictions"]
    assert [prediction["seen"] for prediction in predictions] == [GREY.ravel().tolist(), (GREY * 4).ravel().tolist()]


@pytest.mark.parametrize("query", ["", "seen=false", "unknown=1", "seens=true"])
def test_predict_keeps_to_four_keys_where_it_is_not(service: Service, query: str) -> None:
    (prediction,) = json.loads(ask(service, "/predict", ONE_IMAGE, JSON, query=query).body)["predictions"]
    assert list(prediction) == ["label", "probability", "probabilities", "abstained"]


@pytest.mark.parametrize("query", ["seen", "seen=", "seen=yes", "seen=True", "seen=true&seen=false", "seen=%ff"])
def test_a_wish_that_is_neither_true_nor_false_is_refused(service: Service, query: str) -> None:
    response = ask(service, "/predict", ONE_IMAGE, JSON, query=query)
    assert (response.status, error_of(response)) == (400, "`seen` must be true or false")


def png_of_size(side: int) -> bytes:
    """Return a small PNG file that is a huge picture."""
    content = io.BytesIO()
    Image.new("1", (side, side)).save(content, "PNG")
    return content.getvalue()


def test_pictures_that_are_none_or_too_large_or_blank_are_refused(service: Service) -> None:
    for content, told in [
        (b"GIF89a", "no PNG or JPEG"),
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
    "no JSON": (b"{", "no JSON"),
    "a list": (b"[]", "list"),
    "bad UTF-8": (b'{"image": "\xff"}', "no JSON"),
    "NaN": (f'{{"image": [{ZEROS} NaN]}}'.encode(), "no JSON"),
    "1e400": (f'{{"image": [{ZEROS} 1e400]}}'.encode(), "no JSON"),
    "negative": (f'{{"image": [{ZEROS} -1]}}'.encode(), "holds -1"),
    "256": (f'{{"image": [{ZEROS} 256]}}'.encode(), "holds 256"),
    "huge": (f'{{"image": [{ZEROS} {2**64 - 1}]}}'.encode(), "holds 1844"),
    "a fraction": (f'{{"image": [{ZEROS} 0.5]}}'.encode(), "holds 0.5"),
    "a string": (f'{{"image": [{ZEROS} "7"]}}'.encode(), "holds '7'"),
    "true": (f'{{"image": [{ZEROS} true]}}'.encode(), "holds True"),
    "null": (f'{{"image": [{ZEROS} null]}}'.encode(), "holds None"),
    "too short": (b'{"image": [0, 0]}', "784 numbers"),
    "ragged": (json.dumps({"image": [[0] * 28] * 27 + [[0] * 27]}).encode(), "27 where 28"),
    "mixed": (json.dumps({"image": [[0] * 28] * 27 + [0]}).encode(), "a number where a list"),
    "an object for a pixel": (f'{{"image": [{ZEROS} {{}}]}}'.encode(), "an object"),
    "a key twice": (f'{{"image": [{ZEROS} 0], "image": [{ZEROS} 1]}}'.encode(), "twice"),
    "both keys": (b'{"image": [], "images": []}', "either"),
    "no key": (b"{}", "either"),
    "no images": (b'{"images": []}', "at least one"),
    "nested deep": (b'{"image": ' + b"[" * 250_000, "no JSON"),
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
def test_a_content_type_that_is_not_taken_is_a_415_that_names_those_that_are(service: Service, path: str) -> None:
    response = ask(service, path, b"a=1", {b"content-type": b"application/x-www-form-urlencoded"})
    assert response.status == 415
    assert "application/json" in error_of(response)


# --- the Open Inference Protocol -----------------------------------------------------------------------

BATCH = np.stack([GREY, GREY * 4, GREY[::-1]])[:, None]


@pytest.mark.parametrize("nested", [True, False])
def test_infer_takes_and_gives_json(service: Service, nested: bool) -> None:  # noqa: FBT001
    data = BATCH.tolist() if nested else BATCH.ravel().tolist()
    document = infer_document(BATCH, data=data) | {"id": "mine", "unknown": 1}
    reply = json.loads(ask_json(service, INFER, document).body)
    assert (reply["model_name"], reply["model_version"], reply["id"]) == ("mnist", "1", "mine")
    expected = CLASSIFIER.predict(BATCH)
    for output in reply["outputs"]:
        assert (output["datatype"], output["shape"]) == ("FP32", [3, 10])
        values = np.float32(output["data"]).reshape(output["shape"])
        assert np.array_equal(values, getattr(expected, output["name"]))


def test_an_id_is_made_where_the_client_gives_none(service: Service) -> None:
    assert json.loads(ask(service, INFER, json.dumps(infer_document(BATCH)).encode(), JSON).body)["id"] == ""
    body = json.dumps(infer_document(BATCH)).encode()
    request = Request("POST", INFER, JSON, body, identity="ours")
    job = service.answer(request)
    assert isinstance(job, Job)
    assert json.loads(service.complete(request, job, service.predict(job.images)).body)["id"] == "ours"


def test_infer_takes_and_gives_binary_tensors(service: Service) -> None:
    body, header = infer_binary(BATCH, parameters={"binary_data_output": True})
    response = ask(service, INFER, body, header)
    assert response.content_type == "application/octet-stream"
    document, binary = split_reply(response)
    sizes = [output["parameters"]["binary_data_size"] for output in document["outputs"]]
    assert sizes == [120, 120]
    expected = CLASSIFIER.predict(BATCH)
    assert binary == expected.logits.tobytes() + expected.probabilities.tobytes()


def test_an_output_s_own_wish_for_binary_wins_over_the_request_s(service: Service) -> None:
    outputs = [{"name": "probabilities", "parameters": {"binary_data": False}}, {"name": "logits"}]
    body, header = infer_binary(BATCH, parameters={"binary_data_output": True}, outputs=outputs)
    document, binary = split_reply(ask(service, INFER, body, header))
    assert [("data" in output) for output in document["outputs"]] == [True, False]
    assert len(binary) == 120


def test_a_reply_without_binary_outputs_has_no_header(service: Service) -> None:
    body, header = infer_binary(BATCH)
    response = ask(service, INFER, body, header)
    assert response.content_type == "application/json"
    assert "Inference-Header-Content-Length" not in response.headers


def test_a_raw_request_is_one_image_and_gets_binary_outputs(service: Service) -> None:
    response = ask(service, INFER, GREY.tobytes(), {b"inference-header-content-length": b"0"})
    document, binary = split_reply(response)
    assert document["outputs"][0]["shape"] == [1, 10]
    assert np.array_equal(np.frombuffer(binary, "<f4")[10:], CLASSIFIER.predict(GREY[None]).probabilities[0])


@pytest.mark.parametrize("binary", [True, False])
def test_classification_gives_value_index_label_highest_first(service: Service, binary: bool) -> None:  # noqa: FBT001
    wish = {"classification": 3, "binary_data": binary}
    document = infer_document(BATCH) | {"outputs": [{"name": "probabilities", "parameters": wish}]}
    response = ask_json(service, INFER, document)
    reply, raw = split_reply(response) if binary else (json.loads(response.body), b"")
    output = reply["outputs"][0]
    assert (output["datatype"], output["shape"]) == ("BYTES", [3, 3])
    if binary:
        length = int.from_bytes(raw[:4], "little")
        first = raw[4 : 4 + length].decode()
    else:
        first = output["data"][0]
    value, index, label = first.split(":")
    expected = CLASSIFIER.predict(BATCH)
    assert label == expected.labels[0]
    assert int(index) == expected.probabilities[0].argmax()
    assert float(value) == pytest.approx(expected.probabilities[0].max(), abs=1e-6)


def test_more_classes_than_there_are_give_all_of_them(service: Service) -> None:
    outputs = [{"name": "logits", "parameters": {"classification": 99}}]
    reply = json.loads(ask_json(service, INFER, infer_document(BATCH) | {"outputs": outputs}).body)
    assert reply["outputs"][0]["shape"] == [3, 10]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bodies_may_be_compressed_both_ways(service: Service, encoding: str) -> None:
    squeeze, unsqueeze = (gzip.compress, gzip.decompress) if encoding == "gzip" else (zlib.compress, zlib.decompress)
    body, header = infer_binary(BATCH)
    header |= {b"content-encoding": encoding.encode(), b"accept-encoding": encoding.encode()}
    response = ask(service, INFER, squeeze(body), header)
    assert response.status == 200
    assert response.headers["Content-Encoding"] == encoding
    assert json.loads(unsqueeze(response.body))["model_name"] == "mnist"


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        (b"gzip", gzip.compress(bytes(2 << 20)), 413),
        (b"deflate", zlib.compress(bytes(2 << 20)), 413),
        (b"gzip", b"no gzip", 400),
        (b"gzip", gzip.compress(b"{}")[:-3], 400),
        (b"gzip", gzip.compress(b"{}") + b"more", 400),
        (b"br", b"x", 415),
        (b"gzip, gzip", b"x", 415),
    ],
)
def test_compressed_bodies_that_are_bombs_or_damaged_are_refused(
    service: Service, encoding: bytes, body: bytes, status: int
) -> None:
    response = ask(service, INFER, body, {b"content-encoding": encoding})
    assert response.status == status
    assert error_of(response)


ONE = BATCH[:1]
BAD_INFER: dict[str, tuple[dict[str, Any], str]] = {
    "no inputs": ({}, "inputs"),
    "two inputs": ({"inputs": infer_document(ONE)["inputs"] * 2}, "one tensor"),
    "inputs of numbers": ({"inputs": [1]}, "one tensor"),
    "another input": (infer_document(ONE, name="picture"), "'picture'"),
    "another datatype": (infer_document(ONE, datatype="FP32"), "not FP32"),
    "FP16 as JSON": (infer_document(ONE, datatype="FP16"), "no JSON form"),
    "no datatype of the protocol": (infer_document(ONE, datatype="UINT9"), "'UINT9'"),
    "a datatype that is a list": (infer_document(ONE, datatype=[]), "[]"),
    "a shape past 2^64": (infer_document(ONE, shape=[2**32, 2**32, 28, 28]), "shape"),
    "a negative shape": (infer_document(ONE, shape=[-1, 1, 28, 28]), "shape"),
    "no images": (infer_document(ONE, shape=[0, 1, 28, 28], data=[]), "shape"),
    "a zero in the shape": (infer_document(ONE, shape=[1, 0, 28, 28], data=[]), "shape"),
    "a shape of strings": (infer_document(ONE, shape=["1", 1, 28, 28]), "whole numbers"),
    "a shape of booleans": (infer_document(ONE, shape=[True, 1, 28, 28]), "whole numbers"),
    "a shape of too many dimensions": (infer_document(ONE, shape=[1] * 5000), "shape"),
    "no shape": ({"inputs": [{"name": "image", "datatype": "UINT8", "data": [0]}]}, "shape"),
    "too few pixels": (infer_document(ONE, data=[0] * 783), "783 where 784"),
    "ragged": (infer_document(ONE, data=[[[[0] * 28] * 27 + [[0] * 27]]]), "27 where 28"),
    "booleans": (infer_document(ONE, data=[True] * 784), "holds True"),
    "no data": (infer_document(ONE, data="0"), "string"),
    "an id that is a number": (infer_document(ONE) | {"id": 7}, "`id`"),
    "duplicate outputs": (infer_document(ONE) | {"outputs": [{"name": "logits"}] * 2}, "twice"),
    "an unknown output": (infer_document(ONE) | {"outputs": [{"name": "loss"}]}, "'loss'"),
    "outputs of numbers": (infer_document(ONE) | {"outputs": [7]}, "objects"),
    "outputs that are no list": (infer_document(ONE) | {"outputs": {"name": "logits"}}, "a list"),
    "parameters that are a list": (infer_document(ONE) | {"parameters": []}, "an object"),
    "a flag that is a number": (infer_document(ONE) | {"parameters": {"binary_data_output": 1}}, "true or false"),
    "shared memory": (infer_document(ONE, parameters={"shared_memory_region": "r"}), "not supported"),
    "JSON and binary data": (infer_document(ONE, parameters={"binary_data_size": 784}), "both"),
    **{
        f"a classification of {k!r}": (
            infer_document(ONE) | {"outputs": [{"name": "logits", "parameters": {"classification": k}}]},
            "classification",
        )
        for k in (0, -1, 1.5, "3", True, None)
    },
}


@pytest.mark.parametrize("name", BAD_INFER)
def test_infer_refuses(service: Service, name: str) -> None:
    document, told = BAD_INFER[name]
    response = ask_json(service, INFER, document)
    assert response.status == 400
    assert told in error_of(response)


def test_a_name_nested_deeper_than_python_can_write_it_is_refused(service: Service) -> None:
    deep = "[" * 1010 + "]" * 1010
    response = ask(service, INFER, json.dumps(infer_document(ONE, name="deep")).replace('"deep"', deep).encode(), JSON)
    assert (response.status, error_of(response)) == (400, "the model's one input is 'image', not a list")


@pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b"99999", b"9" * 30, b"", b"+5", b" 5"])
def test_a_header_length_that_is_no_length_of_this_body_is_refused(service: Service, length: bytes) -> None:
    body, _ = infer_binary(ONE)
    response = ask(service, INFER, body, {b"inference-header-content-length": length})
    assert response.status == 400
    assert error_of(response)


def test_binary_tensors_without_the_header_are_refused(service: Service) -> None:
    head = infer_binary(ONE)[0][: -ONE.nbytes]
    response = ask(service, INFER, head, JSON)
    assert response.status == 400
    assert "need the header" in error_of(response)


@pytest.mark.parametrize("change", [-1, 1, -784])
def test_missing_or_surplus_binary_bytes_are_refused(service: Service, change: int) -> None:
    body, header = infer_binary(ONE)
    body = body[:change] if change < 0 else body + bytes(change)
    response = ask(service, INFER, body, header)
    assert response.status == 400
    assert "bytes follow" in error_of(response)


def test_a_raw_request_of_another_size_is_refused(service: Service) -> None:
    for body in (b"x", bytes(783), bytes(785), bytes(784 * 2)):
        assert ask(service, INFER, body, {b"inference-header-content-length": b"0"}).status == 400


# --- pages, metrics ------------------------------------------------------------------------------------


def test_the_reference_page_names_every_call_and_needs_nothing_from_outside(service: Service) -> None:
    described = json.loads(ask(service, "/openapi.json").body)
    page = ask(service, "/docs").body.decode()
    assert all(path in page for path in described["paths"])
    assert "//" not in page.replace("<!doctype", "")
    assert ask(service, "/").content_type.startswith("text/html")


def test_the_model_says_what_it_is_without_its_golden_examples(service: Service) -> None:
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
    assert 'mnist_requests_total{call="/predict",status="200"} 1.0' in text
    assert 'mnist_requests_total{call="other",status="404"} 1.0' in text
    assert 'mnist_requests_total{call="/predict",status="405"} 1.0' in text
    assert "mnist_images_total 3.0" in text
    assert "mnist_batch_images_count 1.0" in text
    abstained = int(CLASSIFIER.predict(np.zeros((3, 28, 28), np.uint8)).abstained.sum())
    assert f"mnist_abstained_total {abstained}.0" in text
    assert f'sha256="{CLASSIFIER.checksum}"' in text


def test_an_error_of_ours_is_a_500_without_a_trace(caplog: pytest.LogCaptureFixture) -> None:
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
    assert service.predict(np.zeros((1, 1), np.uint8)) is None
    assert service.complete(request, job, None).status == 500
    assert "the model failed" in caplog.text


# --- anything at all -----------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)
KEYS = ["inputs", "outputs", "id", "parameters", "image", "images", "data", "shape", "datatype", "name"]
HEADERS = [b"content-type", b"content-encoding", b"accept-encoding", b"inference-header-content-length"]
FUZZED = make_service()


def check_alive(path: str, body: bytes, headers: dict[bytes, bytes]) -> None:
    response = ask(FUZZED, path, body, headers, method="POST")
    assert response.status < 500
    if response.status != 200:
        assert error_of(response)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/predict", INFER]), st.binary(), st.dictionaries(st.sampled_from(HEADERS), st.binary()))
def test_any_bytes_and_headers_get_a_4xx_at_worst(path: str, body: bytes, headers: dict[bytes, bytes]) -> None:
    check_alive(path, body, headers)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/predict", INFER]), st.dictionaries(st.sampled_from(KEYS) | st.text(), VALUES))
def test_any_document_gets_a_4xx_at_worst(path: str, document: dict[str, object]) -> None:
    check_alive(path, json.dumps(document).encode(), JSON)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_request_with_one_part_replaced_gets_a_4xx_at_worst(data: st.DataObject) -> None:
    document = infer_document(ONE) | {"id": "x", "parameters": {}, "outputs": [{"name": "logits", "parameters": {}}]}
    owner = data.draw(st.sampled_from([document, document["inputs"][0], document["outputs"][0]]))
    owner[data.draw(st.sampled_from(sorted(owner)))] = data.draw(VALUES)
    check_alive(INFER, json.dumps(document).encode(), JSON)
