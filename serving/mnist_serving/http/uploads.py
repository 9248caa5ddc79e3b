"""Picture files in a request: its whole body, the files of a form, or base64 in JSON. Their bytes say what they are."""

import base64
import binascii
import logging
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from .pixels import MESSAGE_LENGTH
from .transport import HttpError

FORM = "multipart/form-data"
STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")  # of the formats of picture files
# The reply says what is wrong with a form; clients must not fill the log with it.
SILENT = logging.Logger("forms", logging.CRITICAL)  # noqa: LOG001 (nobody is to configure it)
URL_SAFE = str.maketrans("-_", "+/", " \t\r\n")  # the other alphabet of RFC 4648; breaks of lines are dropped


def is_picture_type(kind: str) -> bool:
    """Return whether a media type says that the body is a picture; which one it names does not matter."""
    return kind.startswith("image/") or kind == "application/octet-stream"


def decode_base64(text: str, *, name: str) -> bytes:
    """Return the content of a data URL, or of bare base64.

    Raises:
        HttpError: 400, it is neither.

    """
    text = text.strip()
    head, comma, data = text.partition(",") if text[:5].lower() == "data:" else ("", "", text)
    if not comma or head.lower().endswith(";base64"):
        data = (unquote(data) if "%" in data else data).translate(URL_SAFE)
        try:
            content = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
        except (ValueError, binascii.Error):
            content = b""
        if content:
            return content
    shown = text if len(text) <= MESSAGE_LENGTH else text[:MESSAGE_LENGTH] + "..."
    raise HttpError(400, f"{name} is a string but no picture file in base64 or as a data URL: {shown!r}")


class _Form:
    """Gathers the files of a form as the parser calls."""

    def __init__(self, most: int) -> None:
        self.files: list[tuple[str, bytes]] = []
        self.ended = False
        self._most = most
        self._parts = 0
        self._header = ["", ""]
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._most:
            raise HttpError(413, f"the form has more than {self._most:,} parts; --max-parts allows more")
        self._headers, self._pieces = {}, []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end].decode("latin-1")

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end].decode("latin-1")

    def on_header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = ["", ""]

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", "").encode("latin-1"))
        content = b"".join(self._pieces)
        if not content and options.get(b"filename") == b"":
            return  # what a browser sends for a field in which no file was chosen
        labelled = b"filename" in options or is_picture_type(self._headers.get("content-type", "").lower())
        if labelled or content.startswith(STARTS):
            name = options.get(b"filename") or options.get(b"name", b"")
            self.files.append((name.decode(errors="replace"), content))

    def on_end(self) -> None:
        self.ended = True


def read_form(body: bytes, content_type: bytes, *, most_parts: int) -> list[tuple[str, bytes]]:
    """Return the names and contents of the files in a form, in their order; other fields are ignored.

    Raises:
        HttpError: 400, it is damaged or has no file; 413, it has too many parts.

    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise HttpError(400, f"the Content-Type {FORM} names no boundary; let the client's library set it")
    form = _Form(most_parts)
    calls = {name: getattr(form, name) for name in dir(form) if name.startswith("on_")}
    try:
        parser = MultipartParser(boundary, calls)  # type: ignore[arg-type]
        parser.logger = SILENT
        parser.write(body)
    except FormParserError as error:
        problem = "the form is damaged, or its boundary is not the one in the Content-Type"
        raise HttpError(400, f"{problem}: {error}") from error
    if not form.ended:
        raise HttpError(400, "the form is cut short: its last boundary is missing")
    if not form.files:
        raise HttpError(400, "the form has no file; send each picture as one, such as curl -F file=@seven.png")
    return form.files
