"""Fetching files whose checksum is known, from the first of several mirrors that has them whole."""

import threading
import urllib.request
from collections.abc import Mapping, Sequence
from hashlib import md5, sha256
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from queue import Empty, Queue

from tqdm import tqdm

SHA256_LENGTH = 64  # hexadecimal digits
CHUNK = 16 * 1024  # bytes
LARGEST_FILE = 256 * 1024**2  # bytes
PATIENCE = 5.0  # seconds that a mirror may take for its next chunk
PATIENCE_IN_ALL = 22.0  # seconds, shared out when there are many mirrors


class MirrorError(Exception):
    """Why a mirror, or each of them, could not give the files."""


def fetch_from_first(mirrors: Sequence[str], checksums: Mapping[str, str]) -> dict[str, bytes]:
    """Return the content of every file in `checksums`, all from one mirror.

    Args:
        mirrors: folders or http(s) URLs in the order to try; one that lacks a file is passed over.
        checksums: SHA-256 or MD5, in hexadecimal, by file name.

    Raises:
        MirrorError: no mirror has them whole; a line for each with what was wrong.

    """
    patience = min(PATIENCE, PATIENCE_IN_ALL / max(1, sum(map(_is_url, mirrors))))
    failures = []
    for mirror in mirrors:
        try:
            files = {name: _fetch(mirror, name, digest, patience) for name, digest in checksums.items()}
        except MirrorError as error:
            failures.append(f"  {mirror}: {error}")
        else:
            print("\n".join([*(f"passed over{failure}" for failure in failures), f"read from {mirror}"]))
            return files
    raise MirrorError("\n".join(failures))


def _is_url(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _fetch(mirror: str, name: str, digest: str, patience: float) -> bytes:
    """Return the content of one file, once its checksum is right."""
    if _is_url(mirror):
        content = _download(f"{mirror.rstrip('/')}/{name}", patience)
    else:
        content = _read(Path(mirror).expanduser(), name)
    if _digest_like(digest, content) != digest:
        msg = f"{name} is {_what_came(content)}"
        raise MirrorError(msg)
    return content


def _digest_like(digest: str, content: bytes) -> str:
    """Return the content's SHA-256, or its MD5 where the known digest is as short as one."""
    return (sha256(content) if len(digest) == SHA256_LENGTH else md5(content, usedforsecurity=False)).hexdigest()


def _read(folder: Path, name: str) -> bytes:
    if not folder.is_dir():
        msg = "no such folder"
        raise MirrorError(msg)
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        msg = f"{name}: {error.strerror}"
        raise MirrorError(msg) from error


def _download(url: str, patience: float) -> bytes:
    """Return what the URL serves, or give up once `patience` seconds pass without a whole chunk.

    A thread does the waiting: looking up a name and a server that drips are beyond a socket's time-out.
    """
    arrived: Queue[bytes | Exception | None] = Queue(maxsize=256)
    threading.Thread(target=_stream, args=(url, patience, arrived), daemon=True).start()
    content = bytearray()
    name = url.rpartition("/")[2]
    with tqdm(desc=name, unit="B", unit_scale=True, delay=1, leave=False, disable=None) as bar:
        while True:
            try:
                item = arrived.get(timeout=patience)
            except Empty:
                msg = f"{name}: stalled, nothing for {patience:.1f} s"
                raise MirrorError(msg) from None
            if item is None:
                return bytes(content)
            if isinstance(item, Exception):
                msg = f"{name}: {item}"
                raise MirrorError(msg) from item
            content += item
            bar.update(len(item))
            if len(content) > LARGEST_FILE:
                msg = f"{name}: more than {LARGEST_FILE:,} bytes"
                raise MirrorError(msg)


def _stream(url: str, patience: float, arrived: "Queue[bytes | Exception | None]") -> None:
    """Put the chunks that the URL serves into the queue, then None, or what went wrong."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "mnist-serving"})  # noqa: S310 (http or https only)
        with urllib.request.urlopen(request, timeout=2 * patience) as response:  # noqa: S310
            while chunk := response.read(CHUNK):
                arrived.put(chunk)
            if missing := _bytes_missing(response):
                msg = f"the connection was cut, {missing:,} bytes short"
                raise MirrorError(msg)  # noqa: TRY301 (one way out for all that goes wrong)
        arrived.put(None)
    except (MirrorError, OSError, HTTPException, ValueError) as error:
        arrived.put(error)


def _bytes_missing(response: HTTPResponse) -> int:
    """How much of the announced length has not come."""
    return response.length or 0


def _what_came(content: bytes) -> str:
    """Say what a file with the wrong checksum looks like."""
    if b"<html" in content[:1024].lower() or b"<!doctype" in content[:1024].lower():
        return "a web page, not the file"
    if not content.startswith(b"\x1f\x8b"):
        return f"no gzip file ({len(content):,} bytes)"
    return f"half a file or another one ({len(content):,} bytes, the checksum is wrong)"
