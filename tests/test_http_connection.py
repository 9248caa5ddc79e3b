"""Connections and what they share, without a process around them: last replies, and pictures that wait."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from mnist_serving.http.transport import Request, Response
from mnist_serving.http.transport.connection import LINGER_SECONDS, Connection, ServerState
from mnist_serving.http.transport.server import ShutdownTimeouts, drain, new_event_loop

from tests.http_service import GREY, make_service

BODY = json.dumps({"images": [[0] * 784] * 400}).encode()
REQUEST = b"POST /predict?seen=true HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)

PICTURE = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 3\r\n\r\npng"


async def soon(condition: Callable[[], object]) -> None:
    """Let the loop turn until a condition holds."""
    while not condition():  # noqa: ASYNC110 (nothing here sets an event)
        await asyncio.sleep(0)


async def read_late() -> None:
    """Read a large last reply after the time that a client has to close; then do not close."""
    loop = asyncio.get_running_loop()
    state = ServerState(make_service(), loop)
    ours, theirs = socket.socketpair()
    _, connection = await loop.connect_accepted_socket(lambda: Connection(state), ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    writer.write(REQUEST + BODY)
    await soon(lambda: connection._closing)
    connection.expire(loop.time() + 2 * LINGER_SECONDS)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    assert len(body) == int(length[1])
    connection.expire(loop.time() + 2 * LINGER_SECONDS)
    await soon(lambda: not state.connections)
    writer.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, new_event_loop])
def test_a_last_reply_may_be_read_slowly_and_then_the_client_has_to_close(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(read_late(), 60))


async def end_without_grace(state: ServerState, pictures: list[str]) -> list[Response]:
    """Shut down while the first of the pictures is worked on; return the answers that came back."""
    loop = asyncio.get_running_loop()
    begun, finish = threading.Event(), threading.Event()

    def work(request: Request) -> Response:
        begun.set()
        finish.wait()
        return Response(200, request.path.encode())

    state.app.answer = work  # type: ignore[method-assign]
    answers: list[Response] = []
    for path in pictures:
        state.answer_in_thread(Request("POST", path), answers.append)
    begun.wait()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0)
    await drain(state, [server], ShutdownTimeouts(linger=0, grace=0))
    finish.set()
    await asyncio.to_thread(state.threads.shutdown, wait=True)
    await soon(lambda: answers)
    return answers


def test_pictures_that_still_wait_at_the_end_of_the_grace_period_are_dropped() -> None:
    complaints: list[object] = []

    async def end() -> list[Response]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        return await end_without_grace(ServerState(make_service(), loop), ["/first", "/second", "/third"])

    assert asyncio.run(end()) == [Response(200, b"/first")]
    assert complaints == []


def test_of_a_form_that_is_being_read_then_no_other_picture_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, finish = threading.Event(), threading.Event()
    read: list[bytes] = []

    def read_picture(content: bytes, *_: object, **__: object) -> npt.NDArray[np.uint8]:
        read.append(content)
        begun.set()
        finish.wait()
        return GREY

    monkeypatch.setattr("mnist_serving.http.predict.read_picture", read_picture)
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="%d.png"\r\n\r\n%d\r\n'
    form = b"".join(part % (number, number) for number in range(60)) + b"--x--\r\n"
    request = Request("POST", "/predict", {b"content-type": b"multipart/form-data; boundary=x"}, form)

    async def end() -> list[Response]:
        state = ServerState(make_service(), asyncio.get_running_loop())
        answers: list[Response] = []
        state.answer_in_thread(request, answers.append)
        begun.wait()
        await drain(state, [], ShutdownTimeouts(linger=0, grace=0))
        finish.set()
        await soon(lambda: answers)
        return answers

    assert [answer.status for answer in asyncio.run(end())] == [503]
    assert read == [b"0"]


async def abort_two_clients(state: ServerState, begun: threading.Event, finish: threading.Event) -> None:
    """Send a picture from each of two clients; when the first is worked on, both break their connections."""
    loop = asyncio.get_running_loop()
    pairs = [socket.socketpair() for _ in range(2)]
    for count, (ours, theirs) in enumerate(pairs, start=1):
        await loop.connect_accepted_socket(lambda: Connection(state), ours)
        await loop.sock_sendall(theirs, PICTURE)
        await soon(lambda wanted=count: state.app.in_flight == wanted)  # type: ignore[misc]
    await asyncio.to_thread(begun.wait)
    for connection in list(state.connections):
        connection.transport.abort()
    await soon(lambda: not state.connections)
    assert state.app.in_flight == 1  # the picture that is worked on
    finish.set()
    await asyncio.to_thread(state.threads.shutdown, wait=True)
    await soon(lambda: state.app.in_flight == 0)
    for _, theirs in pairs:
        theirs.close()


def test_a_picture_whose_client_has_gone_is_not_read_and_counts_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, finish = threading.Event(), threading.Event()
    service = make_service()
    asked: list[Request] = []

    def work(request: Request) -> Response:
        asked.append(request)
        begun.set()
        finish.wait()
        return Response(200, b"")

    monkeypatch.setattr(service, "answer", work)

    async def end() -> None:
        await abort_two_clients(ServerState(service, asyncio.get_running_loop()), begun, finish)

    asyncio.run(asyncio.wait_for(end(), 60))
    assert [request.client_gone for request in asked] == [True]
    asked[0].client_gone = True
    assert make_service().answer(asked[0]).status == 408  # type: ignore[union-attr]
