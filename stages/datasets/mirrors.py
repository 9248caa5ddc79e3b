"""Fetches files of known checksums from the first of several mirrors that has all of them."""

import hashlib
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Queue

from tqdm import tqdm

SHA256_LENGTH = 64  # hexadecimal digits
CHUNK = 16 * 1024  # bytes
LARGEST_FILE = 256 * 1024**2  # bytes
PATIENCE = 5.0  # seconds that a mirror may take for its next chunk
PATIENCE_IN_ALL = 22.0  # seconds, shared out when there are many mirrors


class MirrorError(Exception):
    """Why a mirror, or each of them, could not provide the files."""


def fetch_from_first(mirrors: Sequence[str], checksums: Mapping[str, str]) -> dict[str, bytes]:
    """Return the content of every file in `checksums`, all from one mirror.

    Args:
        mirrors: folders or http(s) URLs in the order to try; one that lacks a file is skipped.
        checksums: SHA-256 or MD5, in hexadecimal, by file name.

    Raises:
        MirrorError: no mirror has all of them; one line for each mirror says why.

    """
    patience = min(PATIENCE, PATIENCE_IN_ALL / max(1, sum(map(_is_url, mirrors))))
    failures = []
    for mirror in mirrors:
        try:
            files = {name: _fetch(mirror, name, digest, patience) for name, digest in checksums.items()}
        except MirrorError as error:
            failures.append(f"  {mirror}: {error}")
        else:
            print("\n".join([*(f"skipped{failure}" for failure in failures), f"read from {mirror}"]))
            return files
    raise MirrorError("\n".join(failures))


def _is_url(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _fetch(mirror: str, name: str, digest: str, patience: float) -> bytes:
    """Return the content of one file, once its checksum is right."""
    folder = Path(mirror).expanduser()
    if not _is_url(mirror) and not folder.is_dir():
        raise MirrorError("no such folder")
    try:
        url = f"{mirror.rstrip('/')}/{name}"
        content = _download(url, patience) if _is_url(mirror) else (folder / name).read_bytes()
    except OSError as error:
        raise MirrorError(f"{name}: {error.strerror or error}") from error
    algorithm = "sha256" if len(digest) == SHA256_LENGTH else "md5"
    if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() != digest:
        raise MirrorError(f"{name} is {_describe(content)}")
    return content


def _download(url: str, patience: float) -> bytes:
    """Return the content of a URL, or give up once `patience` seconds pass without a whole chunk.

    A thread does the waiting: a socket's time-out covers neither the look-up of a name nor a server that drips.
    """
    arrived: Queue[bytes | str] = Queue(maxsize=256)
    threading.Thread(target=_stream, args=(url, patience, arrived), daemon=True).start()
    content = bytearray()
    with tqdm(desc=url.rpartition("/")[2], unit="B", unit_scale=True, delay=1, leave=False, disable=None) as bar:
        while chunk := _next_chunk(arrived, patience):
            content += chunk
            bar.update(len(chunk))
            if len(content) > LARGEST_FILE:
                raise ConnectionError(f"more than {LARGEST_FILE:,} bytes")
    return bytes(content)


def _next_chunk(arrived: "Queue[bytes | str]", patience: float) -> bytes:
    try:
        item = arrived.get(timeout=patience)
    except Empty:
        item = f"stalled, nothing for {patience:.1f} s"
    if isinstance(item, str):
        raise ConnectionError(item)
    return item


def _stream(url: str, patience: float, arrived: "Queue[bytes | str]") -> None:
    """Put the chunks that the URL serves into the queue; then an empty one or, as text, the error that ended them."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "mnist-serving"})  # noqa: S310 (http or https only)
        with urllib.request.urlopen(request, timeout=2 * patience) as response:  # noqa: S310
            while chunk := response.read(CHUNK):
                arrived.put(chunk)
            missing = response.length  # of the length that was announced
        arrived.put(f"the connection was cut, {missing:,} bytes short" if missing else b"")
    except (OSError, HTTPException, ValueError) as error:
        arrived.put(str(error))


def _describe(content: bytes) -> str:
    """Say what a file with the wrong checksum looks like."""
    if b"<html" in content[:1024].lower() or b"<!doctype" in content[:1024].lower():
        return "a web page, not the file"
    if not content.startswith(b"\x1f\x8b"):
        return f"not a gzip file ({len(content):,} bytes)"
    return f"incomplete or a different file ({len(content):,} bytes, the checksum is wrong)"
