"""Slow and flooding clients against our server, and against others that carry its ASGI application.

    python -m benchmarks.hostile [--report FILE]

In turn: clients that send the head of a request, or its body, one byte a second, and clients that send requests
without end and read no reply. Printed: how many slow clients each server cut off, how long an honest client waited
meanwhile, and the server's memory. These are what the transport in `http/transport` is for.
"""

import argparse
import asyncio
import contextlib
import http.client
import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.servers import Contender, LoadRequest, contenders, memory, running

CLIENTS = 64  # hostile ones at a time
SECONDS = 15.0  # of each attack; our server gives a request 10
FLOOD_SECONDS = 5.0
PIECE = 64  # requests that a flooding client writes at a time
NAMES = ("ours, /predict", "ours, in uvicorn", "ours, in granian", "ours, in hypercorn")


@dataclass
class Result:
    """What one server did; times in ms, memory in MiB."""

    name: str
    slow_heads: int  # of CLIENTS, cut off
    slow_bodies: int
    waits: list[float]  # of an honest client during the attacks
    before: float
    after: float


def head(request: LoadRequest) -> bytes:
    """Return the head of a request as bytes."""
    lines = [f"POST {request.path} HTTP/1.1", "Host: x", f"Content-Length: {len(request.body)}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def drip(port: int, at_once: bytes, slowly: bytes) -> bool:
    """Send some bytes at once and others one a second; return whether the server ended it before the time was up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(at_once)
    ended = asyncio.ensure_future(reader.read(1))  # a reply, or the end of the stream
    for place in range(int(SECONDS)):
        await asyncio.wait([ended], timeout=1)
        if ended.done():
            break
        writer.write(slowly[place : place + 1])
    cut_off = ended.done()
    ended.cancel()
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        await ended
    writer.transport.abort()
    return cut_off


async def flood(port: int, request: bytes) -> None:
    """Send requests for a while and read nothing."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(FLOOD_SECONDS):
            while True:
                writer.write(request * PIECE)
                await writer.drain()
    writer.transport.abort()


def ask_honestly(port: int, request: LoadRequest, seconds: float) -> list[float]:
    """Send a request ten times a second; return the ms to each reply, new connections included."""
    waits = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2 * SECONDS)
        connection.request("POST", request.path, request.body, request.headers)
        connection.getresponse().read()
        connection.close()
        waits.append((time.perf_counter() - began) * 1000)
        time.sleep(0.1)
    return waits


async def attack(
    port: int, request: LoadRequest, client: Callable[[], Coroutine[Any, Any, Any]], seconds: float
) -> tuple[list[Any], list[float]]:
    """Return what the hostile clients saw, and the waits of an honest one beside them."""
    honest = asyncio.to_thread(ask_honestly, port, request, seconds)
    *seen, waits = await asyncio.gather(*(client() for _ in range(CLIENTS)), honest)
    return seen, waits


def measure(contender: Contender) -> Result:
    """Attack one server."""
    request = contender.request
    start = head(request)
    with running(contender, core=0) as (port, process, _):
        before = memory(process)
        cut_heads, first = asyncio.run(attack(port, request, lambda: drip(port, start[:20], start[20:]), SECONDS))
        cut_bodies, second = asyncio.run(attack(port, request, lambda: drip(port, start, request.body), SECONDS))
        _, third = asyncio.run(attack(port, request, lambda: flood(port, start + request.body), FLOOD_SECONDS))
        after = memory(process)
    return Result(contender.name, sum(cut_heads), sum(cut_bodies), [*first, *second, *third], before, after)


def table(results: list[Result]) -> str:
    """Return the results as a table in Markdown."""
    heads = f"slow heads cut off, of {CLIENTS} | slow bodies"
    lines = [
        f"| server | {heads} | honest client, p50 ms | worst ms | memory MiB | after the flood |",
        "| --- " * 7 + "|",
    ]
    for r in results:
        waits = f"{statistics.median(r.waits):.1f} | {max(r.waits):,.0f}"
        lines.append(f"| {r.name} | {r.slow_heads} | {r.slow_bodies} | {waits} | {r.before:.0f} | {r.after:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Attack every server, print, and write the table if asked."""
    parser = argparse.ArgumentParser(description="Attack servers with slow and flooding clients.")
    parser.add_argument("--report", type=Path, help="write the table to this file")
    report: Path | None = parser.parse_args().report
    by_name = {contender.name: contender for contender in contenders()}
    text = table([measure(by_name[name]) for name in NAMES])
    print(text)
    if report is not None:
        report.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
