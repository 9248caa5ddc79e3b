"""The routes as an OpenAPI document: it describes what `service` and its readers enforce."""

import math
from typing import Any

from mnist_serving.metadata import Contract

from .infer_reply import BINARY, MODEL_NAME, MODEL_VERSION
from .infer_request import DATATYPE, INPUT, SERVED_OUTPUTS
from .json_body import JSON
from .limits import Limits
from .openapi_examples import PNG, describe_examples, examples
from .pixels import Shape
from .predict import PICTURE_TYPES
from .uploads import FORM

Json = dict[str, Any]

STRING: Json = {"type": "string"}
STRINGS: Json = {"type": "array", "items": STRING}
BOOLEAN: Json = {"type": "boolean"}
INTEGER: Json = {"type": "integer"}
PROBABILITY: Json = {"type": "number", "minimum": 0, "maximum": 1}
FILE: Json = {"schema": {"type": "string", "format": "binary"}}
HTML: Json = {"text/html": {"schema": STRING}}

NUMBER = (
    "With `true` each picture shows a number, its digits in one row, and is answered by a `Number`. Send pictures "
    "then, not pixels."
)
SEEN = "With `true` each prediction has the pixels that the model saw, as `seen`."
REASONS = {
    400: "The request does not follow this description.",
    404: "The model or version is unknown.",
    408: "The request took too long to arrive.",
    413: "The request has too many bytes or too many images; the error names the flag that allows more bytes.",
    415: "The content type or encoding is not supported.",
    503: "The service is not ready, or too many requests are in flight; `Retry-After` says when to try again.",
}
BODY_ERRORS = (400, 408, 413, 415, 503)


def describe_api(contract: Contract, limits: Limits, *, version: str) -> Json:
    """Return the OpenAPI document of a service with a model of this contract, and these limits."""
    dataset = contract.metadata["dataset"]
    purpose = f"Classifies images into {len(contract.labels)} classes with a model trained on {dataset}."
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mnist-serving",
            "version": version,
            "description": f'{purpose} Every error, on every path, is `{{"error": "..."}}`.',
        },
        "paths": {
            "/": {"get": _get("The drawing page", HTML)},
            "/predict": {"post": _predict(contract, limits)},
            "/model": {"get": _get("The model's metadata", _json(_ref("Model")), 503)},
            **_health_paths(),
            **_model_paths(contract),
            **_v1_paths(contract),
            "/metrics": {"get": _get("Counts and latencies for Prometheus", {"text/plain": {"schema": STRING}})},
            "/openapi.json": {"get": _get("This document", _json({"type": "object"}), 503)},
            "/docs": {"get": _get("This document as a page to try it on", HTML)},
        },
        "components": {"schemas": _schemas(contract, limits), "examples": describe_examples(contract)},
    }


def _predict(contract: Contract, limits: Limits) -> Json:
    pictures = dict.fromkeys((*PICTURE_TYPES, BINARY), FILE)
    files = {"type": "array", "items": FILE["schema"], "minItems": 1, "maxItems": limits.parts}
    form = {FORM: {"schema": {"type": "object", "properties": {"file": files}}} | examples("form")}
    content = _json(_ref("PredictRequest"), "pixels", "base64", "several") | pictures | form
    content[PNG] = FILE | examples("picture")
    return {
        "summary": "Classify images",
        "description": (
            f"Send one image as `image` or several as `images`{_polarity(contract)}. Or send a PNG, JPEG, WebP, GIF, "
            f"BMP or TIFF file of at most {limits.pixels:,} pixels{_preparation(contract)}: as the body, where its "
            "bytes decide what it is, as the files of a form, whatever the field is called, or in base64 in place of "
            "the numbers. "
            f"JSON may have {limits.body:,} bytes, a picture file or a form {limits.picture:,}."
        ),
        "parameters": [
            _parameter("seen", "query", BOOLEAN | {"default": False, "description": SEEN}),
            _parameter("number", "query", BOOLEAN | {"default": False, "description": NUMBER}),
        ],
        "requestBody": {"required": True, "content": content},
        "responses": _responses("The predictions", _json(_ref("PredictReply")), *BODY_ERRORS),
    }


def _polarity(contract: Contract) -> str:
    """Return which pixels are ink, as an apposition."""
    return ", white ink (255) on black (0), not black on white" if contract.centred else ""


def _preparation(contract: Contract) -> str:
    """Return how a picture file is prepared, as a clause."""
    if contract.centred:
        return " that shows one digit, which is cut out, scaled and centred first"
    channels, height, width = contract.image_shape
    return f", which is converted to {'grey' if channels == 1 else 'RGB'} and {width} x {height} pixels first"


def _health_paths() -> Json:
    health = _json(_object({"live": BOOLEAN, "ready": BOOLEAN}))
    server = {"name": STRING, "version": STRING, "extensions": STRINGS}
    state = {"name": STRING, "version": STRING, "state": STRING}
    return {
        "/v2/health/live": {"get": _get("Whether the process answers", health)},
        "/v2/health/ready": {"get": _get("Whether requests should be sent here", health, 503)},
        "/v2/repository/index": {
            "post": _get("The models and their states", _json({"type": "array", "items": _object(state)}))
        },
        "/v2": {"get": _get("The server's name, version and extensions", _json(_object(server)))},
    }


def _model_paths(contract: Contract) -> Json:
    """Return the routes of a model, each with and without its version."""
    tensor = _object({"name": STRING, "datatype": STRING, "shape": {"type": "array", "items": INTEGER}})
    tensors = {"type": "array", "items": tensor}
    metadata = {"name": STRING, "versions": STRINGS, "platform": STRING, "inputs": tensors, "outputs": tensors}
    ready = _object({"name": STRING, "ready": BOOLEAN})
    paths = {
        "": {"get": _get("The model's inputs and outputs", _json(_object(metadata)), 404, 503)},
        "/config": {
            "get": _get("The model's configuration, as Triton describes it", _json({"type": "object"}), 404, 503)
        },
        "/ready": {"get": _get("Whether the model is ready", _json(ready), 404, 503)},
        "/infer": {"post": _infer(contract)},
    }
    model = _parameter("model", "path", STRING | {"enum": [MODEL_NAME]})
    number = _parameter("version", "path", STRING | {"enum": [MODEL_VERSION]})
    described: Json = {}
    for end, methods in paths.items():
        described[f"/v2/models/{{model}}{end}"] = {"parameters": [model], **methods}
        described[f"/v2/models/{{model}}/versions/{{version}}{end}"] = {"parameters": [model, number], **methods}
    return described


def _v1_paths(contract: Contract) -> Json:
    """Return the routes of KServe's V1 protocol, which are TensorFlow Serving's too."""
    status = _json(_object({"name": STRING, "ready": BOOLEAN}))
    predict = {
        "summary": "Classify images, by KServe's V1 protocol",
        "description": "An instance is an image as in `/predict`, or an object of one key around it"
        f"{_polarity(contract)}.",
        "requestBody": {"required": True, "content": _json(_ref("V1Request"), "instances")},
        "responses": _responses("The predictions", _json(_ref("PredictReply")), 404, *BODY_ERRORS),
    }
    model = {"parameters": [_parameter("model", "path", STRING | {"enum": [MODEL_NAME]})]}
    return {
        "/v1/models": {"get": _get("The names of the models", _json(_object({"models": STRINGS})))},
        "/v1/models/{model}": {**model, "get": _get("Whether the model is ready", status, 404, 503)},
        "/v1/models/{model}:predict": {**model, "post": predict},
    }


def _infer(contract: Contract) -> Json:
    length = INTEGER | {"minimum": 0, "description": "With binary tensors: how many bytes of JSON begin the body."}
    header = _parameter("Inference-Header-Content-Length", "header", length) | {"examples": {"raw": {"value": 0}}}
    content = _json(_ref("InferRequest"), "tensor") | {BINARY: FILE | examples("raw")}
    return {
        "summary": "Classify images, by the Open Inference Protocol",
        "description": (
            "Tensors may also be binary: first the JSON, then the tensors' bytes, little-endian; the header "
            "`Inference-Header-Content-Length` gives the length of the JSON. If it is 0, the whole body is "
            f"one image of {math.prod(contract.image_shape):,} bytes{_polarity(contract)}."
        ),
        "parameters": [header],
        "requestBody": {"required": True, "content": content},
        "responses": _responses("The outputs", _json(_ref("InferReply")) | {BINARY: FILE}, 404, *BODY_ERRORS),
    }


def _schemas(contract: Contract, limits: Limits) -> Json:
    channels, height, width = contract.image_shape
    flat = _list_of(_ref("Pixel"), channels * height * width)
    rows = _list_of(_list_of(_ref("Pixel"), width), height)
    forms = [flat, *([rows] if channels == 1 else []), _list_of(rows, channels)]
    images = {"type": "array", "items": _ref("Image"), "minItems": 1, "maxItems": limits.images}
    meaning = "0 is background, 255 is ink." if contract.centred else "0 is dark, 255 is light."
    prediction = _prediction(flat, classes=len(contract.labels))
    answers = {"anyOf": [_ref("Prediction"), _ref("Number")]}
    predictions = {"type": "array", "items": answers, "minItems": 1}
    closed = {"additionalProperties": False}
    return {
        "Error": _object({"error": STRING}),
        "Pixel": {"type": "integer", "minimum": 0, "maximum": 255, "description": meaning},
        "Image": {"oneOf": [*forms, {"type": "string", "description": "A picture file in base64, or a data URL."}]},
        "V1Request": _object({"instances": images}),
        "PredictRequest": {"oneOf": [_object({"image": _ref("Image")}) | closed, _object({"images": images}) | closed]},
        "PredictReply": _object({"predictions": predictions}),
        "Prediction": prediction,
        "Number": _number(prediction),
        "Model": _model(),
        **_infer_schemas(contract.image_shape, limits, meaning),
    }


def _model() -> Json:
    preprocessing = {"size": _list_of(INTEGER, 2), "channels": {"enum": ["grey", "rgb"]}}
    return _object(
        {
            "sha256": STRING,
            "labels": STRINGS,
            "preprocessing": _object(preprocessing) | {"description": "The size is height and width."},
            "accuracy": PROBABILITY | {"description": "On the data set's test images."},
            "dataset": STRING,
        }
    )


def _prediction(pixels: Json, *, classes: int) -> Json:
    prediction = _object(
        {
            "label": STRING,
            "probability": PROBABILITY,
            "probabilities": _list_of(PROBABILITY, classes),
            "digit": PROBABILITY | {"description": "How probable it is that the image is of any class at all."},
            "abstained": {"type": "boolean", "description": "The model does not trust this prediction."},
        }
    )
    prediction["properties"]["reason"] = STRING | {"description": "Why it does not; only if `abstained` is true."}
    prediction["properties"]["hint"] = STRING | {"description": "Only if the image looks inverted."}
    prediction["properties"]["seen"] = pixels | {"description": "What the model saw; only with `seen=true`."}
    return prediction


def _number(digit: Json) -> Json:
    box = _list_of(INTEGER | {"minimum": 0}, 4)
    box["description"] = "Left, top, right and bottom in pixels of the picture as it is seen, turned as its EXIF says."
    digit = digit | {"required": [*digit["required"], "box"], "properties": digit["properties"] | {"box": box}}
    number = _object(
        {
            "number": STRING | {"description": "The digits from left to right; a number may begin with zeros."},
            "probability": PROBABILITY | {"description": "The product of those of the digits."},
            "digits": {"type": "array", "items": digit, "minItems": 1},
            "abstained": BOOLEAN | {"description": "The model does not trust one of the digits."},
        }
    )
    number["properties"]["reason"] = STRING | {"description": "Which, and why; only if `abstained` is true."}
    return number


def _infer_schemas(shape: Shape, limits: Limits, meaning: str) -> Json:
    batch = INTEGER | {"minimum": 1, "maximum": limits.images}
    sides = [batch, *({"const": length} for length in shape)]
    tensor_shape = {"type": "array", "prefixItems": sides, "minItems": len(sides), "maxItems": len(sides)}
    data = {"type": "array", "items": {}, "description": f"The pixels, flat or nested as the shape says. {meaning}"}
    binary_size = {"type": "object", "properties": {"binary_data_size": INTEGER | {"minimum": 0}}}
    named = {"name": {"const": INPUT}, "shape": tensor_shape, "datatype": {"const": DATATYPE}}
    tensor = _object(named) | {"properties": named | {"data": data, "parameters": binary_size}}
    options = {"binary_data": BOOLEAN, "classification": INTEGER | {"minimum": 1}}
    asked = _object({"name": {"enum": list(SERVED_OUTPUTS)}})
    asked["properties"]["parameters"] = {"type": "object", "properties": options}
    request = _object({"inputs": {"type": "array", "items": tensor, "minItems": 1, "maxItems": 1}})
    request["properties"] |= {
        "id": STRING,
        "parameters": {"type": "object", "properties": {"binary_data_output": BOOLEAN}},
        "outputs": {"type": "array", "items": asked, "maxItems": len(SERVED_OUTPUTS)},
    }
    output = {"name": STRING, "datatype": {"enum": ["FP32", "BYTES"]}, "shape": {"type": "array", "items": INTEGER}}
    reply = {"model_name": STRING, "model_version": STRING, "id": STRING}
    outputs = {"type": "array", "items": _object(output)}
    return {"InferRequest": request, "InferReply": _object(reply | {"outputs": outputs})}


def _get(summary: str, content: Json, *errors: int) -> Json:
    return {"summary": summary, "responses": _responses(summary, content, *errors)}


def _responses(description: str, content: Json, *errors: int) -> Json:
    responses = {"200": {"description": description, "content": content}}
    refusals = {str(status): {"description": REASONS[status], "content": _json(_ref("Error"))} for status in errors}
    return responses | refusals


def _json(schema: Json, *names: str) -> Json:
    """Return the content of a schema in JSON, with its examples by name."""
    return {JSON: {"schema": schema} | (examples(*names) if names else {})}


def _parameter(name: str, place: str, schema: Json) -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _object(properties: Json) -> Json:
    """Return the schema of an object that has all these properties."""
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


def _list_of(items: Json, length: int) -> Json:
    return {"type": "array", "items": items, "minItems": length, "maxItems": length}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
