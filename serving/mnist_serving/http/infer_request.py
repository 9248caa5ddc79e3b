"""Inference requests of the Open Inference Protocol: JSON, JSON with binary tensors, or one raw tensor."""

import math
from typing import Any, NamedTuple

from .json_body import kind, may_hold_booleans, read_object
from .pixels import MESSAGE_LENGTH, Images, Shape, read_pixels, to_images
from .transport import HttpError

INPUT = "image"
SERVED_OUTPUTS = ("logits", "probabilities", "digit")
DATATYPE = "UINT8"


class Output(NamedTuple):
    """A requested output: `classes` is the k of a classification, 0 for the numbers themselves."""

    name: str
    binary: bool = False
    classes: int = 0


class InferRequest(NamedTuple):
    """What an inference request asks for; `id` is None if the client gave none."""

    images: Images
    outputs: tuple[Output, ...]
    id: str | None = None


def read_infer_request(body: bytes, header_length: bytes | None, shape: Shape, *, most_images: int) -> InferRequest:
    """Parse the body of an inference request.

    Args:
        body: decompressed.
        header_length: the header `Inference-Header-Content-Length`: how many bytes of JSON begin the body.
        shape: of an image.
        most_images: how many a request may have.

    Raises:
        HttpError: 400, it does not follow the protocol or fit the model; 413, too many images.

    """
    if header_length is None:
        return _read_document(body, None, shape, most_images=most_images)
    length = _whole_number(header_length)
    if length == 0:
        size = math.prod(shape)
        if len(body) != size:
            raise HttpError(400, f"a raw request must be one image of {size:,} bytes, not {len(body):,}")
        return InferRequest(to_images(body, shape), tuple(Output(name, binary=True) for name in SERVED_OUTPUTS))
    if length > len(body):
        raise HttpError(400, f"Inference-Header-Content-Length is {length:,}, but the body has {len(body):,} bytes")
    return _read_document(body[:length], body[length:], shape, most_images=most_images)


def _whole_number(header: bytes) -> int:
    if not header.isdigit() or len(header) > 20:  # noqa: PLR2004 (the digits of 2^64)
        shown = header[:MESSAGE_LENGTH].decode("latin-1")
        raise HttpError(400, f"Inference-Header-Content-Length must be a whole number, not {shown!r}")
    return int(header)


def _read_document(body: bytes, binary: bytes | None, shape: Shape, *, most_images: int) -> InferRequest:
    document = read_object(body)
    parameters = _parameters(document, "the request")
    tensor = _read_input(document)
    batch = _batch_size(tensor, shape, most_images=most_images)
    pixels = _pixels(tensor, (batch, *shape), binary, booleans=may_hold_booleans(body))
    request_id = document.get("id")
    if request_id is not None and type(request_id) is not str:
        raise HttpError(400, f"`id` must be a string, not {kind(request_id)}")
    return InferRequest(to_images(pixels, shape), _outputs(document, parameters), request_id)


def _read_input(document: dict[str, Any]) -> dict[str, Any]:
    """Return the one tensor of `inputs`, its name and datatype checked."""
    inputs = document.get("inputs")
    if type(inputs) is not list or len(inputs) != 1 or type(inputs[0]) is not dict:
        raise HttpError(400, f"`inputs` must be a list of one tensor, {INPUT!r}")
    tensor: dict[str, Any] = inputs[0]
    if tensor.get("name") != INPUT:
        raise HttpError(400, f"the only input of the model is {INPUT!r}, not {_quote(tensor.get('name'))}")
    if tensor.get("datatype") != DATATYPE:
        raise HttpError(400, f"the datatype of {INPUT!r} must be {DATATYPE}, not {_quote(tensor.get('datatype'))}")
    return tensor


def _batch_size(tensor: dict[str, Any], shape: Shape, *, most_images: int) -> int:
    """Return the N of a tensor whose shape is [N,*shape]."""
    given = tensor.get("shape")
    if type(given) is not list or any(type(length) is not int for length in given):
        raise HttpError(400, f"the shape of {INPUT!r} must be a list of whole numbers")
    if tuple(given[1:]) != shape or given[0] < 1:
        wanted = ",".join(map(str, shape))
        raise HttpError(400, f"the shape of {INPUT!r} must be [N,{wanted}] with N at least 1, not {_quote(given)}")
    batch: int = given[0]
    if batch > most_images:
        raise HttpError(413, f"the request has {batch:,} images; send at most {most_images:,}")
    return batch


def _pixels(
    tensor: dict[str, Any], shape: tuple[int, ...], binary: bytes | None, *, booleans: bool
) -> bytes | bytearray:
    """Return the pixels of the input, from its `data` or from the binary part of the body."""
    size = _parameters(tensor, INPUT).get("binary_data_size")
    if size is None:
        if binary:
            raise HttpError(400, f"{len(binary):,} bytes follow the JSON, but no input has a `binary_data_size`")
        if "data" not in tensor:
            raise HttpError(400, f"{INPUT!r} must have either `data` or the parameter `binary_data_size`")
        return read_pixels(tensor["data"], shape, name=f"the data of {INPUT!r}", booleans=booleans)
    if "data" in tensor:
        raise HttpError(400, f"{INPUT!r} must have either `data` or the parameter `binary_data_size`, not both")
    wanted = math.prod(shape)
    if type(size) is not int or size != wanted:
        raise HttpError(400, f"`binary_data_size` must be {wanted:,} for this shape, not {_quote(size)}")
    if binary is None:
        raise HttpError(400, "binary tensors need the header Inference-Header-Content-Length")
    if len(binary) != size:
        raise HttpError(400, f"{len(binary):,} bytes follow the JSON; `binary_data_size` says {size:,}")
    return binary


def _outputs(document: dict[str, Any], parameters: dict[str, Any]) -> tuple[Output, ...]:
    """Return the requested outputs; all of them if none is named."""
    binary_by_default = _flag(parameters, "binary_data_output", default=False)
    asked = document.get("outputs")
    if asked is None or asked == []:
        return tuple(Output(name, binary=binary_by_default) for name in SERVED_OUTPUTS)
    if type(asked) is not list:
        raise HttpError(400, f"`outputs` must be a list, not {kind(asked)}")
    outputs = tuple(_output(item, binary_by_default=binary_by_default) for item in asked)
    if len(outputs) > 1 and len({output.name for output in outputs}) < len(outputs):
        raise HttpError(400, "`outputs` names an output twice")
    return outputs


def _output(item: object, *, binary_by_default: bool) -> Output:
    if type(item) is not dict:
        raise HttpError(400, f"`outputs` must hold objects, not {kind(item)}")
    name = item.get("name")
    if type(name) is not str or name not in SERVED_OUTPUTS:
        raise HttpError(400, f"the outputs are {', '.join(SERVED_OUTPUTS)}, not {_quote(name)}")
    parameters = _parameters(item, name)
    classes = parameters.get("classification", 0)
    if type(classes) is not int or ("classification" in parameters and classes < 1):
        raise HttpError(400, f"`classification` must be a whole number above 0, not {_quote(classes)}")
    return Output(name, _flag(parameters, "binary_data", default=binary_by_default), classes)


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise HttpError(400, f"`{name}` must be true or false, not {_quote(value)}")
    return value


def _parameters(owner: dict[str, Any], name: str) -> dict[str, Any]:
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise HttpError(400, f"the parameters of {name} must be an object, not {kind(parameters)}")
    if any("shared_memory" in key for key in parameters):
        raise HttpError(400, "shared memory is not supported; send the tensor in the body")
    return parameters


def _quote(value: object) -> str:
    try:
        text = repr(value)
    except RecursionError:  # orjson's lists may be nested deeper than Python's stack is at this point
        return kind(value)
    return text if len(text) <= MESSAGE_LENGTH else text[:MESSAGE_LENGTH] + "..."
