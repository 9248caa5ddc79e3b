"""Whatever the service gets, it never answers with a 5xx."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http_service import GREY, INFER, JSON, ask, error_of, infer_document, make_service

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)
KEYS = ["inputs", "outputs", "id", "parameters", "image", "images", "data", "shape", "datatype", "name"]
HEADERS = [b"content-type", b"content-encoding", b"accept-encoding", b"inference-header-content-length"]
FUZZED = make_service()


def check_alive(path: str, body: bytes, headers: dict[bytes, bytes]) -> None:
    response = ask(FUZZED, path, body, headers, method="POST")
    assert response.status < 500
    if response.status != 200:
        assert error_of(response)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/predict", INFER]), st.binary(), st.dictionaries(st.sampled_from(HEADERS), st.binary()))
def test_any_bytes_and_headers_get_a_4xx_at_worst(path: str, body: bytes, headers: dict[bytes, bytes]) -> None:
    check_alive(path, body, headers)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/predict", INFER]), st.dictionaries(st.sampled_from(KEYS) | st.text(), VALUES))
def test_any_document_gets_a_4xx_at_worst(path: str, document: dict[str, object]) -> None:
    check_alive(path, json.dumps(document).encode(), JSON)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_request_with_one_part_replaced_gets_a_4xx_at_worst(data: st.DataObject) -> None:
    document = infer_document(GREY[None, None]) | {
        "id": "x",
        "parameters": {},
        "outputs": [{"name": "logits", "parameters": {}}],
    }
    owner = data.draw(st.sampled_from([document, document["inputs"][0], document["outputs"][0]]))
    owner[data.draw(st.sampled_from(sorted(owner)))] = data.draw(VALUES)
    check_alive(INFER, json.dumps(document).encode(), JSON)
