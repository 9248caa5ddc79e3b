"""The routes for people: `POST /predict`, pixels as JSON or a picture file, and `GET /model`, what answers them."""

import math
from typing import Any
from urllib.parse import parse_qs

from mnist_serving.classifier import Classifier, Prediction
from mnist_serving.images import read_picture
from mnist_serving.metadata import Contract

from .json_body import json_response, may_hold_booleans, read_object
from .limits import Limits
from .pixels import Images, Shape, read_pixels, to_images
from .transport.http_types import HttpError, Response

PICTURE_TYPES = ("image/png", "image/jpeg")


def read_predict_request(body: bytes, limits: Limits, shape: Shape) -> Images:
    """Return the images, uint8 [N,*shape], of `{"image": ...}` or `{"images": [...]}`.

    Raises:
        HttpError: 400, the body is anything else; 413, there are too many images.

    """
    document = read_object(body)
    booleans = may_hold_booleans(body)
    if document.keys() == {"image"}:
        return to_images(_one_image(document["image"], shape, name="`image`", booleans=booleans), shape)
    if document.keys() != {"images"}:
        raise HttpError(400, "the object must have either `image` or `images`, and nothing else")
    images = document["images"]
    if type(images) is not list or not images:
        raise HttpError(400, "`images` must be a list of at least one image")
    if len(images) > limits.images:
        raise HttpError(413, f"the request has {len(images):,} images; send at most {limits.images:,}")
    pixels = [_one_image(image, shape, name=f"`images[{row}]`", booleans=booleans) for row, image in enumerate(images)]
    return to_images(b"".join(pixels), shape)


def _one_image(values: object, shape: Shape, *, name: str, booleans: bool) -> bytearray:
    """Return the pixels of an image: a flat list or nested lists; a grey image may leave out the channel."""
    size = math.prod(shape)
    short = shape[1:] if shape[0] == 1 else shape
    if type(values) is not list or len(values) not in (size, short[0], shape[0]):
        forms = " or ".join("x".join(map(str, form)) for form in dict.fromkeys([short, shape]))
        raise HttpError(400, f"{name} must be a list of {size:,} numbers, or of {forms}")
    return read_pixels(values, shape if len(values) == shape[0] else short, name=name, booleans=booleans)


def read_picture_request(body: bytes, limits: Limits, contract: Contract) -> Images:
    """Return the one image, uint8 [1,channels,height,width], of a picture file.

    Raises:
        HttpError: 400, it cannot be decoded, is too large, or shows no digit.

    """
    try:
        return read_picture(body, contract, max_pixels=limits.pixels)[None]
    except ValueError as error:
        raise HttpError(400, str(error)) from error


def read_seen(query: str) -> bool:
    """Return whether the reply is to hold what the model saw: `?seen=true`. Other parameters are ignored.

    Raises:
        HttpError: 400, it is neither true nor false, or given twice.

    """
    values = parse_qs(query, keep_blank_values=True).get("seen", ["false"]) if query else ["false"]
    if values not in (["true"], ["false"]):
        raise HttpError(400, "`seen` must be true or false")
    return values == ["true"]


def render_predictions(prediction: Prediction, seen: Images | None = None) -> Response:
    """Return the reply: label, its probability, all probabilities, and whether the model abstains.

    Args:
        prediction: of N images.
        seen: the images, uint8 [N,channels,height,width], if the reply is to hold them, a flat list each.

    """
    probabilities = prediction.probabilities
    best = probabilities.max(axis=1)
    predictions = [
        {"label": label, "probability": best[row], "probabilities": probabilities[row], "abstained": abstained}
        for row, (label, abstained) in enumerate(zip(prediction.labels, prediction.abstained.tolist(), strict=True))
    ]
    if seen is not None:
        for entry, image in zip(predictions, seen, strict=True):
            entry["seen"] = image.ravel()
    return json_response({"predictions": predictions})


def describe_model(classifier: Classifier) -> dict[str, Any]:
    """Return what the model file says of itself, without its golden examples."""
    metadata = {key: value for key, value in classifier.contract.decoded().items() if key != "golden"}
    return {"sha256": classifier.checksum, **metadata}
