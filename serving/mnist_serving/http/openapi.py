"""What the calls take and give, as an OpenAPI document: the same facts that `service` and its readers enforce."""

from typing import Any

from .infer_reply import BINARY, MODEL_NAME, MODEL_VERSION
from .infer_request import DATATYPES, INPUT, OUTPUTS
from .limits import Limits
from .messages import JSON
from .pixels import IMAGE_SIZE, SIDE
from .predict import PICTURES

Json = dict[str, Any]

CLASSES = 10
REASONS = {
    400: "The request is not as described here.",
    408: "The request took too long to arrive.",
    413: "Too many bytes, or too many images.",
    415: "A content type or encoding that is not taken.",
    503: "Not ready, or too many requests in flight; `Retry-After` says when to try again.",
}


def describe_api(limits: Limits, *, version: str) -> Json:
    """Return the OpenAPI document of a service with these limits."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mnist-serving",
            "version": version,
            "description": 'Recognises MNIST digits. Every error, on every path, is `{"error": "..."}`.',
        },
        "paths": {
            "/": {"get": _get("The page to draw on", _html())},
            "/predict": {"post": _predict(limits)},
            "/model": {"get": _get("What the model file says of itself", {JSON: {"schema": _ref("Model")}}, 503)},
            **_health_paths(),
            **_model_paths(),
            "/metrics": {"get": _get("Counts and latencies for Prometheus", {"text/plain": {"schema": _string()}})},
            "/openapi.json": {"get": _get("This document", {JSON: {"schema": {"type": "object"}}})},
            "/docs": {"get": _get("This document, readable", _html())},
        },
        "components": {"schemas": _schemas(limits)},
    }


def _predict(limits: Limits) -> Json:
    pictures = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURES}
    return {
        "summary": "Recognise digits, simply",
        "description": (
            "One image as `image`, several as `images`; or the body is a PNG or JPEG file with one digit on a page, "
            f"of at most {limits.pixels:,} pixels, which is cut out, scaled and centred first."
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


def _health_paths() -> Json:
    health = {JSON: {"schema": _object({"live": {"type": "boolean"}, "ready": {"type": "boolean"}})}}
    server = {"name": _string(), "version": _string(), "extensions": {"type": "array", "items": _string()}}
    return {
        "/v2/health/live": {"get": _get("Whether the process answers", health)},
        "/v2/health/ready": {"get": _get("Whether requests should be sent here", health, 503)},
        "/v2": {"get": _get("The server's name, version and extensions", {JSON: {"schema": _object(server)}})},
    }


def _model_paths() -> Json:
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
        "/infer": {"post": _infer()},
    }
    model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "enum": [MODEL_NAME]}}
    number = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "enum": [MODEL_VERSION]}}
    described: Json = {}
    for end, calls in paths.items():
        described[f"/v2/models/{{model}}{end}"] = {"parameters": [model], **calls}
        described[f"/v2/models/{{model}}/versions/{{version}}{end}"] = {"parameters": [model, number], **calls}
    return described


def _infer() -> Json:
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "summary": "Recognise digits, by the Open Inference Protocol",
        "description": (
            "Tensors may also be binary: the JSON first, then the tensors' bytes, little-endian; the header "
            "`Inference-Header-Content-Length` gives the length of the JSON. With the header at 0 the whole body is "
            f"one image of {IMAGE_SIZE} bytes."
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


def _schemas(limits: Limits) -> Json:
    row = {"type": "array", "items": _ref("Pixel"), "minItems": SIDE, "maxItems": SIDE}
    square = {"type": "array", "items": row, "minItems": SIDE, "maxItems": SIDE}
    flat = row | {"minItems": IMAGE_SIZE, "maxItems": IMAGE_SIZE}
    images = {"type": "array", "items": _ref("Image"), "minItems": 1, "maxItems": limits.images}
    predictions = {"type": "array", "items": _ref("Prediction"), "minItems": 1}
    closed = {"additionalProperties": False}
    return {
        "Error": _object({"error": _string()}),
        "Pixel": {"type": "integer", "minimum": 0, "maximum": 255, "description": "0 is background, 255 is ink."},
        "Image": {"oneOf": [flat, square, {"type": "array", "items": square, "minItems": 1, "maxItems": 1}]},
        "PredictRequest": {"oneOf": [_object({"image": _ref("Image")}) | closed, _object({"images": images}) | closed]},
        "PredictReply": _object({"predictions": predictions}),
        "Prediction": _prediction(flat),
        "Model": _object(
            {
                "sha256": _string(),
                "labels": {"type": "array", "items": _string()},
                "accuracy": _probability() | {"description": "On the test images of the data set."},
                "dataset": _string(),
            }
        ),
        **_infer_schemas(limits),
    }


def _prediction(pixels: Json) -> Json:
    probabilities = {"type": "array", "items": _probability(), "minItems": CLASSES, "maxItems": CLASSES}
    prediction = _object(
        {
            "label": _string(),
            "probability": _probability(),
            "probabilities": probabilities,
            "abstained": {"type": "boolean", "description": "The model should not be believed here."},
        }
    )
    prediction["properties"]["seen"] = pixels | {"description": "What the model saw, where `seen=true` asks for it."}
    return prediction


def _infer_schemas(limits: Limits) -> Json:
    shape = {
        "type": "array",
        "prefixItems": [
            _integer() | {"minimum": 1, "maximum": limits.images},
            *({"const": n} for n in (1, SIDE, SIDE)),
        ],
        "minItems": 4,
        "maxItems": 4,
    }
    data = {"type": "array", "description": "The pixels, 0 to 255, flat or nested as the shape says."}
    binary_size = {"type": "object", "properties": {"binary_data_size": _integer() | {"minimum": 0}}}
    named = {"name": {"const": INPUT}, "shape": shape, "datatype": {"const": "UINT8"}}
    tensor = _object(named) | {"properties": named | {"data": data, "parameters": binary_size}}
    wishes = {"binary_data": {"type": "boolean"}, "classification": _integer() | {"minimum": 1}}
    asked = _object({"name": {"enum": list(OUTPUTS)}})
    asked["properties"]["parameters"] = {"type": "object", "properties": wishes}
    request = _object({"inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1}})
    request["properties"] |= {
        "id": _string(),
        "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
        "outputs": {"type": "array", "items": asked, "maxItems": len(OUTPUTS)},
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
