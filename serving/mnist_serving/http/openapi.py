"""What the calls take and give, as an OpenAPI document: the same facts that `service` and its readers enforce."""

import math
from typing import TYPE_CHECKING, Any

from .http_types import JSON
from .infer_reply import BINARY, MODEL_NAME, MODEL_VERSION
from .infer_request import DATATYPES, INPUT, SERVED_OUTPUTS
from .limits import Limits
from .pixels import Shape
from .predict import PICTURES

if TYPE_CHECKING:
    from mnist_serving.metadata import Contract

Json = dict[str, Any]

REASONS = {
    400: "The request is not as described here.",
    408: "The request took too long to arrive.",
    413: "Too many bytes, or too many images.",
    415: "A content type or encoding that is not taken.",
    503: "Not ready, or too many requests in flight; `Retry-After` says when to try again.",
}


def describe_api(contract: "Contract", limits: Limits, *, version: str) -> Json:
    """Return the OpenAPI document of a service with a model of this contract, and these limits."""
    learned = contract.metadata.get("dataset", "MNIST")
    does = f"Recognises images of {len(contract.labels)} classes; its model has learned {learned}."
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mnist-serving",
            "version": version,
            "description": f'{does} Every error, on every path, is `{{"error": "..."}}`.',
        },
        "paths": {
            "/": {"get": _get("The page to draw on", _html())},
            "/predict": {"post": _predict(contract, limits)},
            "/model": {"get": _get("What the model file says of itself", {JSON: {"schema": _ref("Model")}}, 503)},
            **_health_paths(),
            **_model_paths(contract.image_shape),
            "/metrics": {"get": _get("Counts and latencies for Prometheus", {"text/plain": {"schema": _string()}})},
            "/openapi.json": {"get": _get("This document", {JSON: {"schema": {"type": "object"}}}, 503)},
            "/docs": {"get": _get("This document, readable", _html(), 503)},
        },
        "components": {"schemas": _schemas(contract, limits)},
    }


def _predict(contract: "Contract", limits: Limits) -> Json:
    pictures = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURES}
    return {
        "summary": "Recognise images, simply",
        "description": (
            "One image as `image`, several as `images`; or the body is a PNG, JPEG, WebP, GIF, BMP or TIFF file "
            f"of at most {limits.pixels:,} pixels{_what_becomes_of_it(contract)}."
        ),
        "parameters": [
            {
                "name": "seen",
                "in": "query",
                "description": "With `true` each prediction holds the pixels that the model saw, as `seen`.",
                "schema": {"type": "boolean", "default": False},
            }
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref("PredictRequest")}, **pictures}},
        "responses": {"200": _reply("The predictions", {JSON: {"schema": _ref("PredictReply")}})} | _errors(*REASONS),
    }


def _what_becomes_of_it(contract: "Contract") -> str:
    """Return what happens to a picture file first, as a clause."""
    if contract.centred:
        return " with one digit on a page, which is cut out, scaled and centred first"
    channels, height, width = contract.image_shape
    return f", which is made {'grey' if channels == 1 else 'RGB'} and {width} pixels wide, {height} high first"


def _health_paths() -> Json:
    health = {JSON: {"schema": _object({"live": {"type": "boolean"}, "ready": {"type": "boolean"}})}}
    server = {"name": _string(), "version": _string(), "extensions": {"type": "array", "items": _string()}}
    return {
        "/v2/health/live": {"get": _get("Whether the process answers", health)},
        "/v2/health/ready": {"get": _get("Whether requests should be sent here", health, 503)},
        "/v2": {"get": _get("The server's name, version and extensions", {JSON: {"schema": _object(server)}})},
    }


def _model_paths(shape: Shape) -> Json:
    """Return the calls of a model, each with and without its version."""
    tensor = _object({"name": _string(), "datatype": _string(), "shape": {"type": "array", "items": _integer()}})
    tensors = {"type": "array", "items": tensor}
    metadata = {
        "name": _string(),
        "versions": {"type": "array", "items": _string()},
        "platform": _string(),
        "inputs": tensors,
        "outputs": tensors,
    }
    ready = _object({"name": _string(), "ready": {"type": "boolean"}})
    paths = {
        "": {"get": _get("The model's inputs and outputs", {JSON: {"schema": _object(metadata)}}, 404, 503)},
        "/ready": {"get": _get("Whether the model is ready", {JSON: {"schema": ready}}, 404, 503)},
        "/infer": {"post": _infer(shape)},
    }
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "enum": [MODEL_NAME]}}
    number = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "enum": [MODEL_VERSION]}}
    described: Json = {}
    for end, calls in paths.items():
        described[f"/v2/models/{{model}}{end}"] = {"parameters": [model], **calls}
        described[f"/v2/models/{{model}}/versions/{{version}}{end}"] = {"parameters": [model, number], **calls}
    return described


def _infer(shape: Shape) -> Json:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "summary": "Recognise images, by the Open Inference Protocol",
        "description": (
            "Tensors may also be binary: the JSON first, then the tensors' bytes, little-endian; the header "
            "`Inference-Header-Content-Length` gives the length of the JSON. With the header at 0 the whole body is "
            f"one image of {math.prod(shape):,} bytes."
        ),
        "parameters": [
            {
                "name": "Inference-Header-Content-Length",
                "in": "header",
                "description": "Only with binary tensors: the bytes of JSON at the body's start.",
                "schema": {"type": "integer", "minimum": 0},
            }
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": _ref("InferRequest")}, BINARY: binary}},
        "responses": {
            "200": _reply("The outputs", {JSON: {"schema": _ref("InferReply")}, BINARY: binary}),
        }
        | _errors(404, *REASONS),
    }


def _schemas(contract: "Contract", limits: Limits) -> Json:
    channels, height, width = contract.image_shape
    flat = _list_of(_ref("Pixel"), channels * height * width)
    rows = _list_of(_list_of(_ref("Pixel"), width), height)
    forms = [flat, *([rows] if channels == 1 else []), _list_of(rows, channels)]
    images = {"type": "array", "items": _ref("Image"), "minItems": 1, "maxItems": limits.images}
    meaning = "0 is background, 255 is ink." if contract.centred else "0 is dark, 255 is light."
    predictions = {"type": "array", "items": _ref("Prediction"), "minItems": 1}
    closed = {"additionalProperties": False}
    return {
        "Error": _object({"error": _string()}),
        "Pixel": {"type": "integer", "minimum": 0, "maximum": 255, "description": meaning},
        "Image": {"oneOf": forms},
        "PredictRequest": {"oneOf": [_object({"image": _ref("Image")}) | closed, _object({"images": images}) | closed]},
        "PredictReply": _object({"predictions": predictions}),
        "Prediction": _prediction(flat, classes=len(contract.labels)),
        "Model": _model(),
        **_infer_schemas(contract.image_shape, limits),
    }


def _model() -> Json:
    preprocessing = {"size": _list_of(_integer(), 2), "channels": {"enum": ["grey", "rgb"]}}
    return _object(
        {
            "sha256": _string(),
            "labels": {"type": "array", "items": _string()},
            "preprocessing": _object(preprocessing) | {"description": "Its size is height and width."},
            "accuracy": _probability() | {"description": "On the test images of the data set."},
            "dataset": _string(),
        }
    )


def _prediction(pixels: Json, *, classes: int) -> Json:
    prediction = _object(
        {
            "label": _string(),
            "probability": _probability(),
            "probabilities": _list_of(_probability(), classes),
            "abstained": {"type": "boolean", "description": "The model should not be believed here."},
        }
    )
    prediction["properties"]["seen"] = pixels | {"description": "What the model saw, where `seen=true` asks for it."}
    return prediction


def _infer_schemas(shape: Shape, limits: Limits) -> Json:
    batch = _integer() | {"minimum": 1, "maximum": limits.images}
    sides = [batch, *({"const": length} for length in shape)]
    tensor_shape = {"type": "array", "prefixItems": sides, "minItems": len(sides), "maxItems": len(sides)}
    data = {"type": "array", "description": "The pixels, 0 to 255, flat or nested as the shape says."}
    binary_size = {"type": "object", "properties": {"binary_data_size": _integer() | {"minimum": 0}}}
    named = {"name": {"const": INPUT}, "shape": tensor_shape, "datatype": {"const": "UINT8"}}
    tensor = _object(named) | {"properties": named | {"data": data, "parameters": binary_size}}
    wishes = {"binary_data": {"type": "boolean"}, "classification": _integer() | {"minimum": 1}}
    asked = _object({"name": {"enum": list(SERVED_OUTPUTS)}})
    asked["properties"]["parameters"] = {"type": "object", "properties": wishes}
    request = _object({"inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1}})
    request["properties"] |= {
        "id": _string(),
        "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
        "outputs": {"type": "array", "items": asked, "maxItems": len(SERVED_OUTPUTS)},
    }
    output = {"name": _string(), "datatype": {"enum": sorted(DATATYPES)}, "shape": {"type": "array"}}
    reply = {"model_name": _string(), "model_version": _string(), "id": _string()}
    outputs = {"type": "array", "items": _object(output)}
    return {"InferRequest": request, "InferReply": _object(reply | {"outputs": outputs})}


def _get(summary: str, content: Json, *errors: int) -> Json:
    return {"summary": summary, "responses": {"200": _reply(summary, content)} | _errors(*errors)}


def _reply(description: str, content: Json) -> Json:
    return {"description": description, "content": content}


def _errors(*statuses: int) -> Json:
    content = {JSON: {"schema": _ref("Error")}}
    reasons = {404: "No such model or version."} | REASONS
    return {str(status): _reply(reasons[status], content) for status in statuses}


def _object(properties: Json) -> Json:
    """Return the schema of an object that has all these properties."""
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def _list_of(items: Json, length: int) -> Json:
    return {"type": "array", "items": items, "minItems": length, "maxItems": length}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _string() -> Json:
    return {"type": "string"}


def _integer() -> Json:
    return {"type": "integer"}


def _probability() -> Json:
    return {"type": "number", "minimum": 0, "maximum": 1}


def _html() -> Json:
    return {"text/html": {"schema": _string()}}
