"""The Open Inference Protocol, without a server: requests in, replies out."""

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from mnist_serving.http.service import Service

from tests.http_service import (
    CLASSIFIER,
    GREY,
    INFER,
    JSON,
    ask,
    ask_json,
    error_of,
    infer_binary,
    infer_document,
    make_service,
    split_reply,
)


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service()


BATCH = np.stack([GREY, GREY * 4, GREY[::-1]])[:, None]


@pytest.mark.parametrize("nested", [True, False])
def test_infer_takes_and_gives_json(service: Service, nested: bool) -> None:  # noqa: FBT001
    data = BATCH.tolist() if nested else BATCH.ravel().tolist()
    document = infer_document(BATCH, data=data) | {"id": "mine", "unknown": 1}
    reply = json.loads(ask_json(service, INFER, document).body)
    assert (reply["model_name"], reply["model_version"], reply["id"]) == ("mnist", "1", "mine")
    expected = CLASSIFIER.predict(BATCH)
    for output in reply["outputs"]:
        assert (output["datatype"], output["shape"]) == ("FP32", [3, 1 if output["name"] == "digit" else 10])
        values = np.float32(output["data"])
        assert np.array_equal(values, getattr(expected, output["name"]).ravel())
    assert [output["name"] for output in reply["outputs"]] == ["logits", "probabilities", "digit"]


def test_a_request_without_an_id_gets_one(service: Service) -> None:
    response = ask(service, INFER, json.dumps(infer_document(BATCH)).encode(), JSON)
    assert json.loads(response.body)["id"] == response.headers["X-Request-Id"] != ""


def test_infer_takes_and_gives_binary_tensors(service: Service) -> None:
    body, header = infer_binary(BATCH, parameters={"binary_data_output": True})
    response = ask(service, INFER, body, header)
    assert response.content_type == "application/octet-stream"
    document, binary = split_reply(response)
    sizes = [output["parameters"]["binary_data_size"] for output in document["outputs"]]
    assert sizes == [120, 120, 12]
    expected = CLASSIFIER.predict(BATCH)
    assert binary == expected.logits.tobytes() + expected.probabilities.tobytes() + expected.digit.tobytes()


def test_an_output_s_own_binary_flag_overrides_the_request_s(service: Service) -> None:
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


def test_an_output_without_a_number_for_each_class_is_classified_without_labels(service: Service) -> None:
    wish = {"name": "digit", "parameters": {"classification": 3}}
    output = json.loads(ask_json(service, INFER, infer_document(BATCH) | {"outputs": [wish]}).body)["outputs"][0]
    digit = CLASSIFIER.predict(BATCH).digit
    assert (output["shape"], output["data"]) == ([3, 1], [f"{value:f}:0" for value in digit])


def test_a_raw_request_is_one_image_and_gets_binary_outputs(service: Service) -> None:
    response = ask(service, INFER, GREY.tobytes(), {b"inference-header-content-length": b"0"})
    document, binary = split_reply(response)
    assert document["outputs"][0]["shape"] == [1, 10]
    assert np.array_equal(np.frombuffer(binary, "<f4")[10:20], CLASSIFIER.predict(GREY[None]).probabilities[0])


def test_metadata_are_never_compressed_because_tritonclient_s_asyncio_client_cannot_read_them_then(
    service: Service,
) -> None:
    for path in ("/v2/models/mnist", "/v2/models/mnist/config", "/v1/models/mnist"):
        reply = ask(service, path, headers={b"accept-encoding": b"gzip, deflate"})
        assert "Content-Encoding" not in reply.headers
        json.loads(reply.body)


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


def test_asking_for_more_classes_than_there_are_gives_all(service: Service) -> None:
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
        (b"gzip", b"not gzip", 400),
        (b"gzip", gzip.compress(b"{}", mtime=0)[:-3], 400),
        (b"gzip", gzip.compress(b"{}", mtime=0) + b"more", 400),
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
    "another datatype": (infer_document(ONE, datatype="FP32"), "not 'FP32'"),
    "FP16 as JSON": (infer_document(ONE, datatype="FP16"), "not 'FP16'"),
    "an unknown datatype": (infer_document(ONE, datatype="UINT9"), "'UINT9'"),
    "a datatype that is a list": (infer_document(ONE, datatype=[]), "[]"),
    "a shape past 2^64": (infer_document(ONE, shape=[2**32, 2**32, 28, 28]), "shape"),
    "a negative shape": (infer_document(ONE, shape=[-1, 1, 28, 28]), "shape"),
    "no images": (infer_document(ONE, shape=[0, 1, 28, 28], data=[]), "shape"),
    "a zero in the shape": (infer_document(ONE, shape=[1, 0, 28, 28], data=[]), "shape"),
    "a shape of strings": (infer_document(ONE, shape=["1", 1, 28, 28]), "whole numbers"),
    "a shape of booleans": (infer_document(ONE, shape=[True, 1, 28, 28]), "whole numbers"),
    "a shape of too many dimensions": (infer_document(ONE, shape=[1] * 5000), "shape"),
    "no shape": ({"inputs": [{"name": "image", "datatype": "UINT8", "data": [0]}]}, "shape"),
    "too few pixels": (infer_document(ONE, data=[0] * 783), "783 where it must have 784"),
    "ragged": (infer_document(ONE, data=[[[[0] * 28] * 27 + [[0] * 27]]]), "27 where it must have 28"),
    "booleans": (infer_document(ONE, data=[True] * 784), "holds True"),
    "no data": (infer_document(ONE, data="0"), "string"),
    "an id that is a number": (infer_document(ONE) | {"id": 7}, "`id`"),
    "duplicate outputs": (infer_document(ONE) | {"outputs": [{"name": "logits"}] * 2}, "twice"),
    "an unknown output": (infer_document(ONE) | {"outputs": [{"name": "loss"}]}, "'loss'"),
    "outputs of numbers": (infer_document(ONE) | {"outputs": [7]}, "objects"),
    "outputs that are not a list": (infer_document(ONE) | {"outputs": {"name": "logits"}}, "a list"),
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


def test_a_name_nested_deeper_than_python_3_11_can_write_it_is_refused(service: Service) -> None:
    deep = "[" * 1010 + "]" * 1010
    response = ask(service, INFER, json.dumps(infer_document(ONE, name="deep")).replace('"deep"', deep).encode(), JSON)
    assert response.status == 400
    assert error_of(response).startswith("the only input of the model is 'image', not ")
    assert len(error_of(response)) < 200


@pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b"99999", b"9" * 30, b"", b"+5", b" 5"])
def test_a_header_length_that_does_not_fit_the_body_is_refused(service: Service, length: bytes) -> None:
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
