"""`POST /predict`, for people, and `:predict`, for KServe's V1 clients: pixels or pictures in, predictions out."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from mnist_serving.classifier import Prediction, number_of
from mnist_serving.images import read_number, read_picture
from mnist_serving.metadata import Contract
from mnist_serving.preprocess.number import Candidate

from .compression import decompress
from .jobs import Job
from .json_body import JSON, has_more, json_response, may_hold_booleans, read_object
from .limits import Limits
from .pixels import Images, Shape, read_pixels, to_images
from .transport import BodyLimit, HttpError, Request, Response, body_too_large
from .uploads import FORM, STARTS, decode_base64, is_picture_type, read_form

PICTURE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff")
TYPES = (JSON, *PICTURE_TYPES, "application/octet-stream", FORM)
UNLABELLED = ("", "application/x-www-form-urlencoded")  # no type; what curl --data-binary sends without being told
GoOn = Callable[[], None]
INVERTED = "most pixels are 255, which is ink: if the image is black on white, invert it"


@lru_cache(256)
def _without_parameters(content_type: bytes) -> str:
    return content_type.decode("latin-1").partition(";")[0].strip().lower()


def media_type(request: Request) -> str:
    """Return the `Content-Type` without its parameters; empty if the request has none."""
    return _without_parameters(request.headers.get(b"content-type", b""))


def body_limit(kind: str, limits: Limits) -> BodyLimit:
    """Return how large the body of a media type may be: what may be a picture more than JSON."""
    return limits.of_pictures if kind in (FORM, *UNLABELLED) or is_picture_type(kind) else limits.of_json


def is_slow(request: Request) -> bool:
    """Return whether a request may hold a picture or is compressed: reading it takes milliseconds."""
    kind = media_type(request)
    if kind != JSON and (kind not in UNLABELLED or request.body.startswith(STARTS)):
        return True
    return b"content-encoding" in request.headers or has_more(b'"', 2, request.body)  # two are those of the key


def read_images(request: Request, limits: Limits, contract: Contract, go_on: GoOn) -> Images:
    """Return the images, uint8 [N,channels,height,width], of a request in any of the forms of `/predict`.

    `go_on` is called before each picture file; the `HttpError` that it may raise is the answer.

    Raises:
        HttpError: 400, the body is anything else, or a picture shows no digit; 413, there are too many; 415.

    """
    return _read_body(request, _Pictures(limits, contract, go_on))


def number_job(request: Request, limits: Limits, contract: Contract, go_on: GoOn, *, seen: bool) -> Job:
    """Return the job of a request for whole numbers: what may be their digits, and how the reply is made of it.

    The request has one of the forms of `/predict`, with picture files alone. `go_on` is as for `read_images`.

    Raises:
        HttpError: as `read_images`, and 400 where an image is given as numbers, or a picture does not show one number.

    """
    pictures = _Numbers(limits, contract, go_on)
    images, found = _read_body(request, pictures), pictures.candidates
    return Job(request, images, lambda prediction, rows: _render_numbers(prediction, rows, images, found, seen=seen))


def _read_body(request: Request, pictures: "_Pictures") -> Images:
    kind = media_type(request)
    body = decompress(request, limit=body_limit(kind, pictures.limits))
    if kind == JSON:
        return _read_document(body, pictures)
    if kind == FORM:
        files = read_form(body, request.headers[b"content-type"], most_parts=pictures.limits.parts)
        read = [pictures.read(content, name=f"{name!r}: ") for name, content in files]
        return to_images(b"".join(read), pictures.contract.image_shape)
    if is_picture_type(kind) or (kind in UNLABELLED and body.startswith(STARTS)):
        return to_images(pictures.read(body), pictures.contract.image_shape)
    if kind:
        raise HttpError(415, f"Content-Type {kind[:60]!r} is not supported; use {', '.join(TYPES)}")
    if len(body) > pictures.limits.body:
        raise body_too_large(pictures.limits.of_json)
    return _read_document(body, pictures)


def _read_document(body: bytes, pictures: "_Pictures") -> Images:
    """Return the images of `{"image": ...}` or `{"images": [...]}`."""
    document = read_object(body)
    if document.keys() == {"image"}:
        reader = _Reader(body, pictures)
        return to_images(reader.read(document["image"], name="`image`"), pictures.contract.image_shape)
    if document.keys() != {"images"}:
        raise HttpError(400, "the object must have either `image` or `images`, and nothing else")
    return _read_list(document["images"], body, pictures, name="images")


def read_instances(request: Request, limits: Limits, contract: Contract, go_on: GoOn) -> Images:
    """Return the images of `{"instances": [...]}`, as KServe's V1 protocol and TensorFlow Serving have it.

    Other keys are ignored. An instance is an image, or an object of one key around it, such as `{"b64": ...}`.
    `go_on` is as for `read_images`.

    Raises:
        HttpError: as `read_images`.

    """
    kind = media_type(request)
    if kind not in (*UNLABELLED, JSON):
        raise HttpError(415, f"Content-Type {kind[:60]!r} is not supported; use {JSON}")
    body = decompress(request, limit=limits.of_json)
    document = read_object(body)
    if "instances" not in document:
        raise HttpError(400, "the object must have `instances`, a list of images")
    instances = document["instances"]
    if type(instances) is list:
        instances = [_unwrap(instance) for instance in instances]
    return _read_list(instances, body, _Pictures(limits, contract, go_on), name="instances")


def _unwrap(value: Any) -> Any:  # noqa: ANN401 (JSON is what it is)
    while type(value) is dict and len(value) == 1:
        (value,) = value.values()
    return value


def _read_list(images: object, body: bytes, pictures: "_Pictures", *, name: str) -> Images:
    if type(images) is not list or not images:
        raise HttpError(400, f"`{name}` must be a list of at least one image")
    if len(images) > pictures.limits.images:
        raise HttpError(413, f"the request has {len(images):,} images; send at most {pictures.limits.images:,}")
    reader = _Reader(body, pictures)
    pixels = [reader.read(image, name=f"`{name}[{row}]`") for row, image in enumerate(images)]
    return to_images(b"".join(pixels), pictures.contract.image_shape)


class _Pictures:
    """Reads picture files."""

    pixels = True  # images may also be given as numbers

    def __init__(self, limits: Limits, contract: Contract, go_on: GoOn) -> None:
        self.limits = limits
        self.contract = contract
        self._go_on = go_on

    def read(self, content: bytes, *, name: str = "") -> bytes:
        """Return what the model sees of a picture file, as bytes."""
        self._go_on()
        try:
            return self._seen(content)
        except ValueError as error:
            raise HttpError(400, f"{name}{error}") from error

    def _seen(self, content: bytes) -> bytes:
        return read_picture(content, self.contract, max_pixels=self.limits.pixels).tobytes()


class _Numbers(_Pictures):
    """Reads picture files of whole numbers, and keeps what may be digits of each."""

    pixels = False

    def __init__(self, limits: Limits, contract: Contract, go_on: GoOn) -> None:
        super().__init__(limits, contract, go_on)
        self.candidates: list[list[Candidate]] = []

    def _seen(self, content: bytes) -> bytes:
        images, candidates = read_number(content, self.contract, max_pixels=self.limits.pixels)
        self.candidates.append(candidates)
        return images.tobytes()


class _Reader:
    """Reads the images of one JSON body."""

    def __init__(self, body: bytes, pictures: _Pictures) -> None:
        self._booleans = may_hold_booleans(body)
        self._pictures = pictures
        self._count = 0

    def read(self, values: object, *, name: str) -> bytes | bytearray:
        """Return an image's pixels: of base64, or of flat or nested lists; a grey image may leave out the channel."""
        shape, most = self._pictures.contract.image_shape, self._pictures.limits.parts
        if type(values) is str:
            self._count += 1
            if self._count > most:
                raise HttpError(413, f"the body has more than {most:,} pictures; --max-parts allows more")
            return self._pictures.read(decode_base64(values, name=name), name=f"{name}: ")
        if not self._pictures.pixels:
            raise HttpError(400, f"{name} must be a picture file in base64: `number=true` reads nothing else")
        short = shape[1:] if shape[0] == 1 else shape
        if type(values) is not list or len(values) not in (math.prod(shape), short[0], shape[0]):
            raise HttpError(400, f"{name} must be {_forms(shape, short)}")
        return read_pixels(values, shape if len(values) == shape[0] else short, name=name, booleans=self._booleans)


def _forms(shape: Shape, short: tuple[int, ...]) -> str:
    forms = " or ".join("x".join(map(str, form)) for form in dict.fromkeys([short, shape]))
    return f"a list of {math.prod(shape):,} numbers, or of {forms}, or a picture file in base64"


def read_flag(query: str, name: str) -> bool:
    """Return whether a parameter such as `?seen=true` is set. Others are ignored.

    Raises:
        HttpError: 400, it is neither true nor false, or given twice.

    """
    if not query:
        return False
    values = parse_qs(query, keep_blank_values=True).get(name, ["false"])
    if values not in (["true"], ["false"]):
        raise HttpError(400, f"`{name}` must be true or false")
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
        entry = _entry(prediction, row)
        if inked and image[0, 0, 0] == 255 and np.count_nonzero(image == 255) * 2 > image.size:  # noqa: PLR2004
            entry["hint"] = INVERTED  # white paper begins at the corner, and few images do
        if seen:
            entry["seen"] = image.ravel()
        predictions.append(entry)
    return json_response({"predictions": predictions})


def _entry(prediction: Prediction, row: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "label": prediction.labels[row],
        "probability": prediction.probability(row),
        "probabilities": prediction.probabilities[row],
        "digit": prediction.digit[row],
        "abstained": bool(prediction.abstained[row]),
    }
    if entry["abstained"]:
        entry["reason"] = prediction.reason(row)
    return entry


def _render_numbers(
    prediction: Prediction, rows: slice, images: Images, candidates: list[list[Candidate]], *, seen: bool
) -> Response:
    """Return the reply to a request for numbers: of each its digits, each as in another reply and with its box.

    Args:
        prediction: of the request's N images and others.
        rows: which are the request's.
        images: uint8 [N,1,28,28], what may be digits.
        candidates: of each picture, what its images are, N in all.
        seen: each digit is to hold its pixels, a flat list.

    """
    predictions, first = [], 0
    for some in candidates:
        part = slice(first, first + len(some))
        first = part.stop
        taken = prediction.taken(range(rows.start + part.start, rows.start + part.stop))
        number = number_of(taken, images[part], some)
        digits = [_entry(number.digits, row) | {"box": [*place]} for row, place in enumerate(number.places)]
        for digit, image in zip(digits, number.images, strict=True) if seen else ():
            digit["seen"] = image.ravel()
        entry = {"number": number.text, "probability": number.probability, "digits": digits}
        entry["abstained"] = number.abstained
        predictions.append(entry | ({"reason": number.reason} if number.abstained else {}))
    return json_response({"predictions": predictions})
