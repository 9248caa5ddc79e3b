"""`POST /predict`, the call for people: pixels as JSON, or a picture file."""

from .documents import may_hold_booleans, read_object
from .limits import Limits
from .messages import Answers, HttpError, Images, Response, json_response
from .pixels import IMAGE_SHAPE, IMAGE_SIZE, SIDE, read_pixels, to_images

PICTURES = ("image/png", "image/jpeg")


def read_predict_request(body: bytes, limits: Limits) -> Images:
    """Return the images, uint8 [N,1,28,28], of `{"image": ...}` or `{"images": [...]}`.

    Raises:
        HttpError: 400 for anything else, 413 for too many images.

    """
    document = read_object(body)
    booleans = may_hold_booleans(body)
    if document.keys() == {"image"}:
        return to_images(_one_image(document["image"], name="`image`", booleans=booleans))
    if document.keys() != {"images"}:
        raise HttpError(400, "the object must hold either `image` or `images`, and nothing else")
    images = document["images"]
    if type(images) is not list or not images:
        raise HttpError(400, "`images` must be a list of at least one image")
    if len(images) > limits.images:
        raise HttpError(413, f"{len(images):,} images in one request; at most {limits.images:,} are taken")
    pixels = [_one_image(image, name=f"`images[{row}]`", booleans=booleans) for row, image in enumerate(images)]
    return to_images(b"".join(pixels))


def _one_image(values: object, *, name: str, booleans: bool) -> bytearray:
    """Return the pixels of an image given as 784 numbers, as 28x28 or as 1x28x28."""
    if type(values) is not list or len(values) not in (IMAGE_SIZE, SIDE, 1):
        raise HttpError(400, f"{name} must be a list of 784 numbers, or of 28x28 or 1x28x28")
    shape = IMAGE_SHAPE if len(values) == 1 else (SIDE, SIDE)
    return read_pixels(values, shape, name=name, booleans=booleans)


def read_picture(body: bytes, limits: Limits) -> Images:
    """Return the one image, uint8 [1,1,28,28], of a PNG or JPEG of one digit on a page.

    Raises:
        HttpError: 400, it cannot be decoded, is too large, or nothing is on the page.

    """
    from mnist_serving.canonicalize import canonicalize
    from mnist_serving.images import read_grey

    try:
        return canonicalize(read_grey(body, max_pixels=limits.pixels)).reshape(1, *IMAGE_SHAPE)
    except ValueError as error:
        raise HttpError(400, str(error)) from error


def render_predictions(answers: Answers) -> Response:
    """Return the reply: label, its probability, all probabilities, and whether the model should not be believed."""
    best = answers.probabilities.max(axis=1)
    predictions = [
        {"label": str(label), "probability": best[row], "probabilities": answers.probabilities[row], "abstained": flag}
        for row, (label, flag) in enumerate(zip(answers.labels, answers.abstained.tolist(), strict=True))
    ]
    return json_response({"predictions": predictions})
