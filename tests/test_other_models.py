"""The package and the service with models of other pictures than MNIST's digits: sizes and classes are theirs."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mnist_serving import Classifier, ModelError
from mnist_serving.cli import main
from mnist_serving.http.limits import Limits
from mnist_serving.http.service import Service
from mnist_serving.images import read_picture
from PIL import Image

from tests.http_service import INFER, JSON, ask, ask_json, error_of, infer_binary, infer_document, split_reply
from tests.other_models import COLOUR_SHAPE, COLOURS, GREY_SHAPE, write_colour_model, write_grey_model

PNG = {b"content-type": b"image/png"}
GREEN, RED = (20, 220, 40), (230, 10, 30)
RED_IMAGE = np.broadcast_to(np.array(RED, np.uint8)[:, None, None], COLOUR_SHAPE).copy()
IMAGES = np.random.default_rng(0).integers(0, 256, (2, *COLOUR_SHAPE), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_model(tmp_path_factory.mktemp("colours") / "model.onnx")


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return Classifier(model)


@pytest.fixture(scope="module")
def service(classifier: Classifier) -> Service:
    service = Service(Limits(pixels=100_000))
    service.open(classifier)
    return service


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Service:
    service = Service()
    service.open(Classifier(write_grey_model(tmp_path_factory.mktemp("grey") / "model.onnx")))
    return service


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, form, **options)
    return content.getvalue()


def predictions(service: Service, body: bytes, headers: dict[bytes, bytes]) -> list[dict[str, Any]]:
    response = ask(service, "/predict", body, headers, query="seen=true")
    assert response.status == 200, response.body
    found: list[dict[str, Any]] = json.loads(response.body)["predictions"]
    return found


# --- images and pictures -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(-1,), COLOUR_SHAPE])
def test_predict_takes_an_image_flat_or_as_channels_of_rows(service: Service, shape: tuple[int, ...]) -> None:
    body = json.dumps({"image": RED_IMAGE.reshape(shape).tolist()}).encode()
    (prediction,) = predictions(service, body, JSON)
    assert prediction["label"] == "red"
    assert len(prediction["probabilities"]) == 3
    assert prediction["seen"] == RED_IMAGE.ravel().tolist()


@pytest.mark.parametrize("shape", [(-1,), GREY_SHAPE[1:], GREY_SHAPE])
def test_a_grey_image_may_leave_out_its_channel(grey: Service, shape: tuple[int, ...]) -> None:
    image = np.full(GREY_SHAPE, 200).reshape(shape).tolist()
    assert [p["label"] for p in predictions(grey, json.dumps({"images": [image] * 2}).encode(), JSON)] == ["light"] * 2


def test_a_picture_of_the_model_s_size_is_seen_as_it_is(service: Service) -> None:
    picture = Image.fromarray(IMAGES[0].transpose(1, 2, 0))
    (prediction,) = predictions(service, encoded(picture), PNG)
    assert prediction["seen"] == IMAGES[0].ravel().tolist()


@pytest.mark.parametrize(("form", "size"), [("PNG", (20, 24)), ("PNG", (300, 100)), ("JPEG", (7, 9))])
def test_a_picture_of_any_size_is_resized_to_the_model_s(service: Service, form: str, size: tuple[int, int]) -> None:
    headers = {b"content-type": f"image/{form.lower()}".encode()}
    (prediction,) = predictions(service, encoded(Image.new("RGB", size, GREEN), form), headers)
    assert prediction["label"] == "green"
    assert np.reshape(prediction["seen"], COLOUR_SHAPE).mean(axis=(1, 2)) == pytest.approx(GREEN, abs=3)


def test_grey_16_bit_rotated_and_transparent_pictures_are_read_as_they_look(classifier: Classifier) -> None:
    deep = Image.fromarray(np.full((24, 20), 0x80FF, np.uint16))
    glass = Image.new("RGBA", (20, 24), (*RED, 0))
    turned = Image.new("RGB", (24, 20), RED)
    turned.paste(GREEN, (0, 0, 12, 20))
    orientation = Image.Exif()
    orientation[0x0112] = 6  # its top is on its right: to be turned by 90 degrees
    for content, wanted in (
        (encoded(deep), [[0x80] * 3] * 2),
        (encoded(Image.new("L", (20, 24), 9)), [[9] * 3] * 2),
        (encoded(glass), [[255] * 3] * 2),
        (encoded(turned, exif=orientation), [GREEN, RED]),
    ):
        image = read_picture(content, classifier.contract)
        assert image.shape == COLOUR_SHAPE
        assert [image[:, 0, 0].tolist(), image[:, -1, -1].tolist()] == [list(colour) for colour in wanted]


def test_a_colour_picture_becomes_grey_for_a_model_of_grey_ones(grey: Service) -> None:
    (prediction,) = predictions(grey, encoded(Image.new("RGB", (50, 60), "yellow")), PNG)
    assert prediction["label"] == "light"
    assert len(prediction["seen"]) == 12 * 9


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"BOO", "cannot be read as PNG, JPEG"),
        (encoded(Image.new("1", (400, 300))), "400x300 pixels: at most 100,000 pixels are taken"),
        (encoded(Image.new("RGB", (300, 300)))[:60], "damaged"),
    ],
)
def test_the_limits_of_pictures_are_the_same(service: Service, content: bytes, told: str) -> None:
    response = ask(service, "/predict", content, PNG)
    assert response.status == 400
    assert told in error_of(response)


# --- the Open Inference Protocol -----------------------------------------------------------------------


def test_infer_takes_json_binary_and_raw_tensors_of_the_model_s_shape(service: Service, classifier: Classifier) -> None:
    expected = classifier.predict(IMAGES)
    outputs = json.loads(ask_json(service, INFER, infer_document(IMAGES)).body)["outputs"]
    assert [output["shape"] for output in outputs] == [[2, 3], [2, 3], [2, 1]]
    assert np.array_equal(np.float32(outputs[0]["data"]).reshape(2, 3), expected.logits)
    body, header = infer_binary(IMAGES, parameters={"binary_data_output": True})
    assert split_reply(ask(service, INFER, body, header))[1] == (
        expected.logits.tobytes() + expected.probabilities.tobytes() + expected.digit.tobytes()
    )
    raw = ask(service, INFER, IMAGES[0].tobytes(), {b"inference-header-content-length": b"0"})
    assert split_reply(raw)[0]["outputs"][0]["shape"] == [1, 3]


def test_the_metadata_and_the_document_have_the_model_s_numbers(service: Service) -> None:
    metadata = json.loads(ask(service, "/v2/models/mnist").body)
    assert metadata["inputs"][0]["shape"] == [-1, 3, 24, 20]
    assert [output["shape"] for output in metadata["outputs"]] == [[-1, 3], [-1, 3], [-1, 1]]
    model = json.loads(ask(service, "/model").body)
    assert model["labels"] == [*COLOURS]
    assert model["preprocessing"]["size"] == [24, 20]
    schemas = json.loads(ask(service, "/openapi.json").body)["components"]["schemas"]
    flat, nested, _ = schemas["Image"]["oneOf"]
    assert (flat["minItems"], flat["maxItems"]) == (1440, 1440)
    assert (nested["minItems"], nested["items"]["minItems"], nested["items"]["items"]["maxItems"]) == (3, 24, 20)
    assert schemas["Prediction"]["properties"]["probabilities"]["maxItems"] == 3
    shape = schemas["InferRequest"]["properties"]["inputs"]["items"]["properties"]["shape"]
    assert [side.get("const") for side in shape["prefixItems"]] == [None, 3, 24, 20]
    assert "RGB and 20 x 24 pixels" in ask(service, "/openapi.json").body.decode()


# --- what is wrong -------------------------------------------------------------------------------------

MNIST_IMAGE = np.zeros((1, 1, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("path", "document", "told"),
    [
        ("/predict", {"image": [0] * 784}, "`image` must be a list of 1,440 numbers, or of 3x24x20"),
        ("/predict", {"image": [[0] * 20] * 24}, "or of 3x24x20"),
        ("/predict", {"images": [[[[0] * 24] * 20] * 3]}, "`images[0]` has a list of 20 where it must have 24"),
        (INFER, infer_document(MNIST_IMAGE), "the shape of 'image' must be [N,3,24,20]"),
        (INFER, infer_document(IMAGES, data=[0] * 1440), "1,440 where it must have 2,880"),
    ],
)
def test_another_size_is_refused_with_the_model_s_own(
    service: Service, path: str, document: dict[str, Any], told: str
) -> None:
    response = ask_json(service, path, document)
    assert response.status == 400
    assert told in error_of(response)


def test_another_number_of_bytes_is_refused_with_the_model_s_own(service: Service) -> None:
    raw = ask(service, INFER, bytes(784), {b"inference-header-content-length": b"0"})
    assert (raw.status, error_of(raw)) == (400, "a raw request must be one image of 1,440 bytes, not 784")
    document = infer_document(IMAGES, parameters={"binary_data_size": 784})
    del document["inputs"][0]["data"]
    binary = ask_json(service, INFER, document)
    assert (binary.status, error_of(binary)) == (400, "`binary_data_size` must be 2,880 for this shape, not 784")


def test_a_grey_image_on_its_side_is_refused(grey: Service) -> None:
    response = ask_json(grey, "/predict", {"image": [[0] * 12] * 9})
    assert (response.status, error_of(response)) == (
        400,
        "`image` must be a list of 108 numbers, or of 12x9 or 1x12x9, or a picture file in base64",
    )


def test_the_classifier_suggests_canonicalize_only_for_digits(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 \[3,24,20\].*: resize pictures of other sizes"):
        classifier.predict(MNIST_IMAGE)


# --- the contract, the command -------------------------------------------------------------------------


def test_by_default_a_model_is_one_of_centred_digits(model: Path, tmp_path: Path) -> None:
    altered = onnx.load(model)
    entry = next(entry for entry in altered.metadata_props if entry.key == "preprocessing")
    entry.value = json.dumps({key: value for key, value in json.loads(entry.value).items() if key != "centred"})
    onnx.save(altered, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"centred images must be \(1, 28, 28\), not \(3, 24, 20\)"):
        Classifier(tmp_path / "model.onnx")


def test_the_command_prints_the_class_of_a_picture_file(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "red.png").write_bytes(encoded(Image.new("RGB", (40, 40), RED)))
    (tmp_path / "none.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "--model", str(model), str(tmp_path / "none.png"), str(tmp_path / "red.png")])
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path / 'red.png'}: red  ")
    assert "none.png: cannot be read as PNG, JPEG" in said.err
