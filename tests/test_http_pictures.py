"""Pictures in requests: as the body, in a form, in base64; their bytes say what they are, and their size is bounded."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import numpy as np
import pytest
from mnist_serving.http.service import Service
from mnist_serving.http.transport import Request
from PIL import Image

from tests.http_server import PREDICT, READY, Server, eventually, running_server, statuses
from tests.http_service import CLASSIFIER, JSON, ask, ask_json, error_of, make_service

BOUNDARY = "f7e1"
FORM = {b"content-type": f'multipart/form-data; boundary="{BOUNDARY}"'.encode()}
DIGITS = dict(zip("10", CLASSIFIER.contract.golden.images[[0, 2], 0], strict=True))


@pytest.fixture(scope="module")
def service() -> Service:
    return make_service()


def picture(label: str, form: str = "PNG") -> bytes:
    """Return a file of a digit, black on white."""
    content = io.BytesIO()
    Image.fromarray(255 - np.kron(DIGITS[label], np.ones((8, 8), np.uint8))).save(content, form)
    return content.getvalue()


def form_of(*files: tuple[str, bytes], end: str = "--") -> bytes:
    """Return a form of files, and one field that is none."""
    parts = [b'Content-Disposition: form-data; name="comment"\r\n\r\nseven']
    for name, content in files:
        head = f'Content-Disposition: form-data; name="any"; filename="{name}"\r\nContent-Type: text/plain\r\n\r\n'
        parts.append(head.encode() + content)
    edge = f"--{BOUNDARY}".encode()
    return b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts) + edge + end.encode()


def labels(body: bytes) -> list[str]:
    return [prediction["label"] for prediction in json.loads(body)["predictions"]]


@pytest.mark.parametrize(
    "label",
    [b"image/png", b"image/jpg", b"image/pjpeg", b"image/x-odd", b"application/octet-stream", b"", b"Image/PNG; q=1"],
)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_bytes_of_a_picture_decide_not_its_label(service: Service, label: bytes, form: str) -> None:
    assert labels(ask(service, "/predict", picture("0", form), {b"content-type": label}).body) == ["0"]


@pytest.mark.parametrize("headers", [{}, {b"content-type": b"application/x-www-form-urlencoded"}])
def test_what_curl_sends_without_being_told_a_type_is_read_also_if_it_is_larger_than_json_may_be(
    headers: dict[bytes, bytes],
) -> None:
    small = make_service(body=100)
    assert small.body_limit(Request("POST", "/predict", headers)) == small.limits.of_pictures
    assert labels(ask(small, "/predict", picture("0"), headers).body) == ["0"]


def test_json_without_a_type_may_be_no_larger_than_with_one() -> None:
    assert "--max-body" in error_of(ask(make_service(body=100), "/predict", b'{"image": "' + bytes(100)))


def test_a_form_may_have_several_files_in_fields_of_any_name(service: Service) -> None:
    body = form_of(("one.jpg", picture("1", "JPEG")), ("", picture("0")), ("1.png", picture("1")))
    assert labels(ask(service, "/predict", body, FORM).body) == ["1", "0", "1"]


def part(head: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


@pytest.mark.parametrize(
    "head",
    ["Content-Disposition: form-data; name=file", "CONTENT-DISPOSITION: FORM-DATA; NAME=a; FILENAME=b", "X-Odd: 1"],
)
def test_a_part_that_is_a_picture_is_read_however_it_is_labelled(service: Service, head: str) -> None:
    body = part(head, picture("0")) + part('Content-Disposition: form-data; name="none"; filename=""', b"")
    assert labels(ask(service, "/predict", body + f"--{BOUNDARY}--".encode(), FORM).body) == ["0"]


def test_an_error_names_a_file_in_its_own_letters(service: Service) -> None:
    response = ask(service, "/predict", form_of(("sieben-ü.png", b"seven")), FORM)
    assert error_of(response).startswith("'sieben-ü.png': ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (form_of(), "has no file"),
        (part('Content-Disposition: form-data; name="f"; filename=""', b"") + b"--f7e1--", "has no file"),
        (part("X: " + "a" * 10_000, b""), "damaged"),
        (form_of(("a.png", picture("1"))).replace(b"f7e1", b"0000"), "its boundary is not the one"),
        (form_of(("a.png", picture("1")), end=""), "cut short"),
        (form_of(("seven.png", b"seven")), "'seven.png': "),
        (b"--other\r\n\r\n", "damaged"),
        (b"", "cut short"),
        (b"\0" * 1000, "damaged"),
    ],
)
def test_a_form_that_is_damaged_or_has_no_picture_is_a_400_and_fills_no_log(
    service: Service, body: bytes, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = ask(service, "/predict", body, FORM, method="POST")
    assert response.status == 400
    assert told in error_of(response)
    assert caplog.records == []


def test_a_form_without_a_boundary_is_a_400(service: Service) -> None:
    response = ask(service, "/predict", form_of(), {b"content-type": b"multipart/form-data"})
    assert (response.status, "boundary" in error_of(response)) == (400, True)


def test_a_form_of_many_parts_is_a_413_that_names_the_flag(service: Service) -> None:
    response = ask(service, "/predict", form_of(*[("a", b"")] * 64), FORM)
    assert (response.status, "--max-parts" in error_of(response)) == (413, True)
    response = ask_json(service, "/predict", {"images": [base64.b64encode(picture("1")).decode()] * 65})
    assert (response.status, "--max-parts" in error_of(response)) == (413, True)


@pytest.mark.parametrize("body", [b"\r\n" * 2**20, b"\r\n--" * 2**19, b"--f7e1\r\n" * 2**18, b"-" * 2**21])
def test_a_form_of_two_million_bytes_that_looks_like_boundaries_takes_no_long_time(
    service: Service, body: bytes
) -> None:
    began = time.process_time()
    start = b"--f7e1\r\nContent-Disposition: form-data; filename=a\r\n\r\n"
    assert 400 <= ask(service, "/predict", start + body, FORM).status < 500
    assert time.process_time() - began < 10


def plain(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "written",
    [
        plain,
        lambda content: f"data:image/png;base64,{plain(content)}",
        lambda content: f"data:;base64,{plain(content)}",
        lambda content: f" DATA:image/png;BASE64,{quote(plain(content), safe='')}\n",
        lambda content: base64.encodebytes(content).decode(),
        lambda content: base64.urlsafe_b64encode(content).decode().rstrip("="),
    ],
)
def test_json_may_hold_pictures_in_base64(service: Service, written: Callable[[bytes], str]) -> None:
    images = [written(picture("0")), DIGITS["1"].tolist(), written(picture("1"))]
    assert labels(ask_json(service, "/predict", {"images": images}).body) == ["0", "1", "1"]
    assert labels(ask_json(service, "/predict", {"image": images[0]}).body) == ["0"]


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("", "no picture file in base64"),
        ("seven.png", "'seven.png'"),
        ("data:image/png,abc", "no picture file in base64"),
        ("data:image/png;base64,", "no picture file"),
        ("é" * 100, "..."),
        (plain(b"seven"), "`image`: "),
    ],
)
def test_a_string_that_is_not_a_picture_is_a_400(service: Service, image: str, told: str) -> None:
    response = ask_json(service, "/predict", {"image": image})
    assert response.status == 400
    assert told in error_of(response)


def test_a_request_that_may_hold_a_picture_is_answered_in_a_thread(service: Service) -> None:
    numbers = json.dumps({"images": [[0] * 784] * 2}).encode()
    text = json.dumps({"image": plain(picture("0"))}).encode()
    packed = JSON | {b"content-encoding": b"gzip"}
    for headers, body, slow in [
        (JSON, numbers, False),
        ({}, numbers, False),
        (JSON, text, True),
        (packed, numbers, True),
        ({}, picture("0"), True),
        (FORM, b"a", True),
    ]:
        assert service.is_slow(Request("POST", "/predict", headers, body)) is slow
        assert service.is_slow(Request("POST", "/v2/models/mnist/infer", headers, body)) is False


# --- sizes -------------------------------------------------------------------------------------------------


def post(kind: str, length: int, body: bytes = b"") -> bytes:
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + body


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    flags = ("--max-body", "5000", "--max-picture", "20000", "--max-large-in-flight", "1")
    with running_server(*flags) as server:
        yield server


@pytest.mark.parametrize(
    ("kind", "size", "flag"), [("image/png", 20_001, "--max-picture"), ("application/json", 5001, "--max-body")]
)
def test_a_body_past_its_limit_is_a_413_that_names_the_flag(small: Server, kind: str, size: int, flag: str) -> None:
    assert small.call("POST", "/predict", bytes(size - 1), Content_Type=kind).status == 400
    for reply in (small.call("POST", "/predict", bytes(size), Content_Type=kind), small.send(post(kind, size))):
        text = reply.decode() if isinstance(reply, bytes) else f"{reply.status} {reply.body!r}"
        assert "413" in text
        assert flag in text
    assert small.call("POST", "/v2/models/mnist/infer", bytes(5001), Content_Type=kind).status == 413


def test_few_large_pictures_are_received_at_a_time(small: Server) -> None:
    with small.connect() as first:
        first.sendall(post("image/png", 10_000, bytes(6000)))
        eventually(lambda: statuses(small.send(post("image/png", 10_000))) == [503], "the first to be counted")
        assert small.call("POST", "/predict", bytes(4000), Content_Type="image/png").status == 400
        first.sendall(bytes(4000) + PREDICT)
        assert statuses(first.recv(65_536))[0] == 400
    eventually(lambda: small.call("POST", "/predict", bytes(10_000), Content_Type="image/png").status == 400, "its end")


def test_large_pictures_of_one_connection_are_answered_one_after_the_other(small: Server) -> None:
    requests = post("image/png", 10_000, bytes(10_000)) * 3 + READY
    with small.connect() as connection:
        connection.sendall(requests)
        raw = b""
        while b'"live"' not in raw:
            raw += connection.recv(65_536)
    assert statuses(raw) == [400, 400, 400, 200]
