"""`POST /predict`, for people, and `:predict`, for KServe's V1 clients: pixels or pictures in, predictions out."""

import math
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from mnist_serving.classifier import Prediction
from mnist_serving.images import read_picture
from mnist_serving.metadata import Contract

from .compression import decompress
from .json_body import JSON, has_more, json_response, may_hold_booleans, read_object
from .limits import Limits
from .pixels import Images, Shape, read_pixels, to_images
from .transport.http_types import HttpError, Request, Response
from .transport.limits import BodyLimit
from .uploads import FORM, STARTS, decode_base64, is_picture_type, read_form

PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff")
TYPES = (JSON, *PICTURE_TYPES, "application/octet-stream", FORM)
UNLABELLED = ("", "application/x-www-form-urlencoded")  # no type; what curl --data-binary sends without being told
INVERTED = "most pixels are 255, which is ink: if the image is black on white, invert it"


@lru_cache(256)
def _without_parameters(content_type: bytes) -> str:
    return content_type.decode("latin-1").partition(";")[0].strip().lower()


def media_type(request: Request) -> str:
    """Return the `Content-Type` without its parameters; empty if the request has none."""
    return _without_parameters(request.headers.get(b"content-type", b""))


def body_limit(kind: str, limits: Limits) -> BodyLimit:
    """Return how large the body of a media type may be: pictures more than JSON."""
    return limits.of_pictures if kind == FORM or is_picture_type(kind) else limits.of_json


def is_slow(request: Request) -> bool:
    """Return whether a request may hold a picture or is compressed: reading it takes milliseconds."""
    kind = media_type(request)
    if kind != JSON and (kind not in UNLABELLED or request.body.startswith(STARTS)):
        return True
    return b"content-encoding" in request.headers or has_more(b'"', 2, request.body)  # two are those of the key


def read_images(request: Request, limits: Limits, contract: Contract) -> Images:
    """Return the images, uint8 [N,channels,height,width], of a request in any of the forms of `/predict`.

    Raises:
        HttpError: 400, the body is anything else, or a picture shows no digit; 413, there are too many; 415.

    """
    kind = media_type(request)
    body = decompress(request, limit=body_limit(kind, limits))
    if kind == JSON:
        return _read_document(body, limits, contract)
    if kind == FORM:
        files = read_form(body, request.headers[b"content-type"], most_parts=limits.parts)
        pictures = [_read_picture(content, limits, contract, name=f"{name!r}: ") for name, content in files]
        return to_images(b"".join(pictures), contract.image_shape)
    if is_picture_type(kind) or (kind in UNLABELLED and body.startswith(STARTS)):
        return to_images(_read_picture(body, limits, contract), contract.image_shape)
    if kind:
        raise HttpError(415, f"Content-Type {kind[:60]!r} is not supported; use {', '.join(TYPES)}")
    return _read_document(body, limits, contract)


def _read_document(body: bytes, limits: Limits, contract: Contract) -> Images:
    """Return the images of `{"image": ...}` or `{"images": [...]}`."""
    document = read_object(body)
    if document.keys() == {"image"}:
        reader = _Reader(body, limits, contract)
        return to_images(reader.read(document["image"], name="`image`"), contract.image_shape)
    if document.keys() != {"images"}:
        raise HttpError(400, "the object must have either `image` or `images`, and nothing else")
    return _read_list(document["images"], body, limits, contract, name="images")


def read_instances(request: Request, limits: Limits, contract: Contract) -> Images:
    """Return the images of `{"instances": [...]}`, as KServe's V1 protocol and TensorFlow Serving have it.

    Other keys are ignored. An instance is an image, or an object of one key around it, such as `{"b64": ...}`.

    Raises:
        HttpError: as `read_images`.

    """
    kind = media_type(request)
    if kind not in (*UNLABELLED, JSON):
        raise HttpError(415, f"Content-Type {kind[:60]!r} is not supported; use {JSON}")
    body = decompress(request, limit=body_limit(kind, limits))
    document = read_object(body)
    if "instances" not in document:
        raise HttpError(400, "the object must have `instances`, a list of images")
    instances = document["instances"]
    if type(instances) is list:
        instances = [_unwrap(instance) for instance in instances]
    return _read_list(instances, body, limits, contract, name="instances")


def _unwrap(value: Any) -> Any:  # noqa: ANN401 (JSON is what it is)
    while type(value) is dict and len(value) == 1:
        (value,) = value.values()
    return value


def _read_list(images: object, body: bytes, limits: Limits, contract: Contract, *, name: str) -> Images:
    if type(images) is not list or not images:
        raise HttpError(400, f"`{name}` must be a list of at least one image")
    if len(images) > limits.images:
        raise HttpError(413, f"the request has {len(images):,} images; send at most {limits.images:,}")
    reader = _Reader(body, limits, contract)
    pixels = [reader.read(image, name=f"`{name}[{row}]`") for row, image in enumerate(images)]
    return to_images(b"".join(pixels), contract.image_shape)


class _Reader:
    """Reads the images of one JSON body."""

    def __init__(self, body: bytes, limits: Limits, contract: Contract) -> None:
        self._booleans = may_hold_booleans(body)
        self._limits = limits
        self._contract = contract
        self._pictures = 0

    def read(self, values: object, *, name: str) -> bytes | bytearray:
        """Return an image's pixels: of base64, or of flat or nested lists; a grey image may leave out the channel."""
        shape = self._contract.image_shape
        if type(values) is str:
            self._pictures += 1
            if self._pictures > self._limits.parts:
                raise HttpError(413, f"the body has more than {self._limits.parts:,} pictures; --max-parts allows more")
            return _read_picture(decode_base64(values, name=name), self._limits, self._contract, name=f"{name}: ")
        short = shape[1:] if shape[0] == 1 else shape
        if type(values) is not list or len(values) not in (math.prod(shape), short[0], shape[0]):
            raise HttpError(400, f"{name} must be {_forms(shape, short)}")
        return read_pixels(values, shape if len(values) == shape[0] else short, name=name, booleans=self._booleans)


def _forms(shape: Shape, short: tuple[int, ...]) -> str:
    forms = " or ".join("x".join(map(str, form)) for form in dict.fromkeys([short, shape]))
    return f"a list of {math.prod(shape):,} numbers, or of {forms}, or a picture file in base64"


def _read_picture(content: bytes, limits: Limits, contract: Contract, *, name: str = "") -> bytes:
    """Return what the model sees of a picture file, as bytes."""
    try:
        return read_picture(content, contract, max_pixels=limits.pixels).tobytes()
    except ValueError as error:
        raise HttpError(400, f"{name}{error}") from error


def read_seen(query: str) -> bool:
    """Return whether the reply is to hold what the model saw: `?seen=true`. Other parameters are ignored.

    Raises:
        HttpError: 400, it is neither true nor false, or given twice.

    """
    if not query:
        return False
    values = parse_qs(query, keep_blank_values=True).get("seen", ["false"])
    if values not in (["true"], ["false"]):
        raise HttpError(400, "`seen` must be true or false")
    return values == ["true"]


def render_predictions(prediction: Prediction, rows: slice, images: Images, *, seen: bool, inked: bool) -> Response:
    """Return the reply: label, its probability, all probabilities, `digit`, and whether the model abstains, and why.

    Args:
        prediction: of the request's N images and others.
        rows: which are the request's.
        images: uint8 [N,channels,height,width], as the model saw them.
        seen: the reply is to hold them, a flat list each.
        inked: 255 is ink, so that an image that is mostly 255 gets a hint.

    """
    predictions: list[dict[str, Any]] = []
    for image, row in zip(images, range(rows.start, rows.stop), strict=True):
        entry: dict[str, Any] = {
            "label": prediction.labels[row],
            "probability": prediction.probability(row),
            "probabilities": prediction.probabilities[row],
            "digit": prediction.digit[row],
            "abstained": bool(prediction.abstained[row]),
        }
        if entry["abstained"]:
            entry["reason"] = prediction.reason(row)
        if inked and image[0, 0, 0] == 255 and np.count_nonzero(image == 255) * 2 > image.size:  # noqa: PLR2004
            entry["hint"] = INVERTED  # white paper begins at the corner, and few images do
        if seen:
            entry["seen"] = image.ravel()
        predictions.append(entry)
    return json_response({"predictions": predictions})
