"""The table that survives being killed: rows are appended one by one, and what is half written is done again.

A CSV whose first line names `COLUMNS`. File names that are not UTF-8 come back as they were.
"""

import csv
import io
from pathlib import Path
from typing import IO, NamedTuple


class Picture(NamedTuple):
    """A file as it was found, and the model that labels it: as long as all of that is the same, its row holds."""

    file: str  # relative to the folder, with /
    bytes: str
    modified_ns: str  # since 1970
    model: str  # the start of its SHA-256


class Answer(NamedTuple):
    """What became of it: either the first three, or the error."""

    label: str = ""
    probability: str = ""
    abstained: str = ""  # true or false
    error: str = ""


Rows = dict[str, tuple[Picture, Answer]]  # by file
COLUMNS = (*Picture._fields, *Answer._fields)


class TableError(Exception):
    """The file is not a table of this job."""


def read_rows(path: Path) -> Rows:
    """Return the rows of a table, none where the file does not exist. Where a picture has two, the later one counts.

    Raises:
        TableError: it is something else.

    """
    if not path.exists():
        return {}
    if not path.is_file():
        raise TableError(f"{path} is not a file; give the table another name")
    with open_table(path, "r") as file:
        text = file.read()
    whole = text[: text.rfind("\n") + 1]  # a last line without an end was not written to its end
    try:
        lines = list(csv.reader(io.StringIO(whole, newline="")))
    except csv.Error:
        lines = []
    if text and lines[:1] != [list(COLUMNS)]:
        raise TableError(
            f"{path} is something else, its first line is not {','.join(COLUMNS)}; give the table another name"
        )
    pairs = ((Picture(*line[:4]), Answer(*line[4:])) for line in lines[1:] if len(line) == len(COLUMNS))
    return {picture.file: (picture, answer) for picture, answer in pairs}


def atomic_write(path: Path, rows: Rows) -> None:
    """Rewrite the table, sorted by file: whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    with open_table(temporary, "w") as file:
        csv.writer(file).writerow(COLUMNS)
        for _, row in sorted(rows.items()):
            append_row(file, *row)
    temporary.replace(path)


def append_row(file: IO[str], picture: Picture, answer: Answer) -> None:
    """Add a row to an open table."""
    csv.writer(file).writerow((*picture, *answer))


def open_table(path: Path, mode: str) -> IO[str]:
    """Open a table as its rows want it."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")
