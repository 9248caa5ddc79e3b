"""One client's connection, without a process around it: what becomes of the last reply."""

import asyncio
import json
import re
import socket
from collections.abc import Callable

import pytest
from mnist_serving.http.connection import LINGER_SECONDS, Connection
from mnist_serving.http.server import Host, new_event_loop

from tests.test_http_service import make_service

BODY = json.dumps({"images": [[0] * 784] * 400}).encode()
REQUEST = b"POST /predict?seen=true HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)


async def be_late() -> None:
    """Take a large last reply after the time that a client has to close; then do not close."""
    loop = asyncio.get_running_loop()
    host = Host(make_service(), loop)
    ours, theirs = socket.socketpair()
    _, connection = await loop.connect_accepted_socket(lambda: Connection(host), ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    writer.write(REQUEST + BODY)
    while not connection._closing:
        await asyncio.sleep(0)
    connection.expire(loop.time() + 2 * LINGER_SECONDS)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    assert len(body) == int(length[1])
    connection.expire(loop.time() + 2 * LINGER_SECONDS)
    while host.connections:
        await asyncio.sleep(0)
    writer.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, new_event_loop])
def test_a_last_reply_may_be_taken_slowly_and_then_the_client_has_to_close(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(be_late(), 60))
