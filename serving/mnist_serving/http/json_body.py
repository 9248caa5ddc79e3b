"""JSON bodies: read strictly (one object, no key twice, UTF-8, finite numbers), and written for replies."""

import json
from typing import Any

import orjson

from .transport import HttpError, Response

JSON = "application/json"


def error_response(error: HttpError) -> Response:
    """Return `{"error": ...}`, the form of every error on every path."""
    return Response(error.status, orjson.dumps({"error": error.message}), headers=dict(error.headers))


def json_response(document: object) -> Response:
    """Return a document as JSON; numpy arrays become lists, float32 in the fewest digits that identify it."""
    return Response(200, orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        HttpError: 400, the body is not JSON, not an object, nested too deep, or has a key twice.

    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(
            400, f"the body is not valid JSON: {error}" if body else "the body is empty; send a JSON object"
        ) from error
    if type(document) is not dict:
        raise HttpError(400, f"the body is {kind(document)}; send a JSON object")
    # A colon follows every key and is otherwise only in strings: with as many colons as keys, no key is there twice.
    if has_more(b":", _count_keys(document), body):
        _refuse_duplicate_keys(body)
    return document


def kind(value: object) -> str:
    """Return what JSON calls a value, with its article, for messages."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def may_hold_booleans(body: bytes) -> bool:
    """Return whether JSON may hold true or false, which are numbers to Python and not to the protocol."""
    # Single letters, which only such values and few names have, are found many times as fast as words.
    if b"f" in body:
        return True
    place = body.find(b"r")
    while place >= 0 and body[place - 1 : place + 3] != b"true":
        place = body.find(b"r", place + 1)
    return place >= 0


def has_more(byte: bytes, most: int, body: bytes) -> bool:
    """Return whether a byte occurs more often; finding each is many times as fast as counting them all."""
    place = -1
    for _ in range(most + 1):
        place = body.find(byte, place + 1)
        if place < 0:
            return False
    return True


def _count_keys(document: dict[str, Any]) -> int:
    """Return the number of keys of an object and of those inside it; lists are searched if they begin with one."""
    keys, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        keys += len(value)
        for inner in value.values():
            if type(inner) is dict:
                waiting.append(inner)
            elif type(inner) is list and inner and type(inner[0]) is dict:
                waiting.extend(item for item in inner if type(item) is dict)
    return keys


def _refuse_duplicate_keys(body: bytes) -> None:
    """Read the body a second time, slowly, and refuse an object that has a key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise HttpError(400, f"an object has the key {key[:100]!r} twice")
            seen[key] = value
        return seen

    try:
        json.loads(body.decode(), object_pairs_hook=unique)
    except RecursionError as error:
        raise HttpError(400, "the body is nested too deep") from error
    except ValueError as error:
        raise HttpError(400, f"the body is not valid JSON: {error}") from error
