"""`POST /predict` with pixels as JSON, without a server. test_http_pictures.py has the pictures."""

import io
import json
import sys

import numpy as np
import pytest
from mnist_serving.http.service import Service
from PIL import Image

from tests.http_service import CLASSIFIER, GREY, INFER, JSON, ask, ask_json, error_of, infer_document, make_service

ZERO = CLASSIFIER.contract.golden.images[2, 0]
ONE_IMAGE = json.dumps({"image": GREY.tolist()}).encode()


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service()


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
        (b"GIF89a", "damaged"),
        (b"BOO", "cannot be read as PNG, JPEG"),
        (png_of_size(9000), "pixels"),
        (png_of_size(300)[:60], "damaged"),
        (png_of_size(300), ""),
    ]:
        response = ask(service, "/predict", content, {b"content-type": b"image/png"})
        assert response.status == 400
        assert told in error_of(response)


ZEROS = "0," * 783
TOO_DEEP = "too deep" if sys.version_info < (3, 12) else "twice"  # newer ones read as deep as orjson does
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
    "a key twice, nested deep": (b'{"a":1,"a":' + b"[" * 1000 + b"]" * 1000 + b"}", TOO_DEEP),
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
