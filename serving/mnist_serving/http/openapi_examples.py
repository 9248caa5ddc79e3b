"""Examples for the OpenAPI document: one of the model's golden images, in every form that the service takes.

A body that is not JSON is a data URL in `externalValue`, of which the page of the HTTP API makes a file.
"""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from mnist_serving.metadata import Contract

from .infer_reply import BINARY
from .infer_request import DATATYPE, INPUT
from .pixels import Images

Json = dict[str, Any]

PLACE = 1  # of the example among the golden images: a seven
SCALE = 4  # how much larger than a digit that the model sees its picture is
PNG = "image/png"


def describe_examples(contract: Contract) -> Json:
    """Return the examples by name, for `components` of the document."""
    image = contract.golden.images[min(PLACE, len(contract.golden.images) - 1)]
    picture = _data_url(PNG, draw_png(image, centred=contract.centred))
    pixels = (image[0] if len(image) == 1 else image).tolist()
    tensor = {"name": INPUT, "shape": [1, *image.shape], "datatype": DATATYPE, "data": [image.tolist()]}
    return {
        "pixels": {"summary": "Pixels", "value": {"image": pixels}},
        "base64": {"summary": "A picture file in base64", "value": {"image": picture}},
        "several": {"summary": "Several images", "value": {"images": [pixels, picture]}},
        "picture": {"summary": "A picture file", "externalValue": picture},
        "form": {"summary": "A form with picture files", "externalValue": picture},
        "instances": {"summary": "Instances", "value": {"instances": [pixels]}},
        "tensor": {"summary": "A tensor in JSON", "value": {"inputs": [tensor]}},
        "raw": {"summary": "The bytes of one image", "externalValue": _data_url(BINARY, image.tobytes())},
    }


def examples(*names: str) -> Json:
    """Return the `examples` of a media type or a parameter that refer to these."""
    return {"examples": {name: {"$ref": f"#/components/examples/{name}"} for name in names}}


def draw_png(image: Images, *, centred: bool) -> bytes:
    """Return an image, uint8 [C,H,W], as a PNG; a centred digit larger and black on white, as people draw."""
    picture = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
    if centred:
        picture = 255 - np.kron(picture, np.ones((SCALE, SCALE), np.uint8))
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", optimize=True)
    return content.getvalue()


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
