"""Labels a folder of pictures, into a table, and goes on where it was stopped.

    python label.py FOLDER TABLE.csv [--processes N]

Every PNG and JPEG in the folder and the folders in it gets a row, written as soon as it is labelled. Run again, it
labels what has no row, what is another file than it was (by size and time of change), what another model labelled,
and what could not be read. Rows of files that are gone stay. In the end the table is sorted by file.

Exit codes: 0 done, 1 some pictures could not be read, 2 wrong usage, 130 stopped by Ctrl+C.
"""

import argparse
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NoReturn

from labelling import classifier, label_all
from mnist_serving import MnistServingError
from mnist_serving.many import PROCESSES
from table import Answer, Picture, Rows, TableError, append_row, atomic_write, open_table, read_rows
from tqdm import tqdm

SUFFIXES = (".png", ".jpg", ".jpeg")
STOPPED = 130  # what shells say of Ctrl+C


def find_pictures(folder: Path, model: str) -> list[Picture]:
    """Return the picture files below a folder, and the folders there that cannot be listed."""
    paths: list[Path] = []

    def refuse(error: OSError) -> None:
        paths.append(Path(error.filename))

    for place, _, names in os.walk(folder, onerror=refuse):
        paths += [Path(place, name) for name in names if name.lower().endswith(SUFFIXES)]
    return [describe(path, folder, model) for path in sorted(paths)]


def describe(path: Path, folder: Path, model: str) -> Picture:
    """Return what is known of a file before it is read."""
    file = path.relative_to(folder).as_posix()
    try:
        found = path.stat()
    except OSError:  # labelling it will say why
        return Picture(file, "", "", model)
    return Picture(file, str(found.st_size), str(found.st_mtime_ns), model)


def is_done(picture: Picture, rows: Rows) -> bool:
    """Tell whether a picture's row still holds."""
    known, answer = rows.get(picture.file, (None, Answer()))
    return known == picture and not answer.error


def prepare(folder: Path, table: Path) -> tuple[list[Picture], Rows]:
    """Return the pictures that are there and the rows that hold; leave just those rows in the table.

    Raises:
        OSError: the folder cannot be listed, or the table not be read or written.
        MnistServingError: the model cannot be used.
        TableError: there is nothing to label, or the table is something else.

    """
    os.scandir(folder).close()  # raises for what is not a folder; `os.walk` would find it empty
    pictures = find_pictures(folder, classifier().checksum[:12])
    if not pictures:
        raise TableError(f"{folder} has no file in it that ends in {', '.join(SUFFIXES)}")
    rows = read_rows(table)
    for picture in pictures:
        if not is_done(picture, rows):
            rows.pop(picture.file, None)
    atomic_write(table, rows)
    return pictures, rows


def complete(folder: Path, table: Path, pictures: list[Picture], rows: Rows, processes: int) -> None:
    """Label the pictures that have no row; add their rows to the table and to `rows`."""
    missing = [picture for picture in pictures if picture.file not in rows]
    done = len(pictures) - len(missing)
    bar = tqdm(total=len(pictures), initial=done, unit="picture", disable=None, leave=False)
    with bar, open_table(table, "a") as file:
        for picture, answer in label_all(folder, missing, processes):
            append_row(file, picture, answer)
            file.flush()  # from here on it outlives this process
            rows[picture.file] = picture, answer
            bar.update()
    atomic_write(table, rows)


def count(text: str) -> int:
    """Return a number of processes."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def stop(code: int, message: str) -> NoReturn:
    """End with one line on standard error."""
    print(f"label.py: {message}", file=sys.stderr)
    sys.exit(code)


def run(folder: Path, table: Path, processes: int) -> int:
    """Label, say what came of it, return the exit code."""
    try:
        pictures, rows = prepare(folder, table)
    except OSError as error:
        stop(2, f"{error.filename}: {error.strerror}")
    except (MnistServingError, TableError) as error:
        stop(2, str(error))
    held = len(rows)
    try:
        complete(folder, table, pictures, rows, processes)
    except (OSError, BrokenProcessPool) as error:
        stop(1, f"{error} What is labelled is in {table}; the same command goes on")
    answers = [rows[picture.file][1] for picture in pictures]
    failed = sum(bool(answer.error) for answer in answers)
    unsure = sum(answer.abstained == "true" for answer in answers)
    print(f"{len(answers)} pictures, {len(rows) - held} labelled now; {unsure} not sure, {failed} could not be read")
    return int(failed > 0)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Label a folder of pictures; run again, it goes on where it stopped.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with PNG and JPEG files, also in folders in it")
    parser.add_argument("table", type=Path, metavar="TABLE.csv", help="made if it is missing, else completed")
    parser.add_argument(
        "--processes", type=count, metavar="N", default=PROCESSES, help="default: one for each core that it may use"
    )
    arguments = parser.parse_args()
    try:
        sys.exit(run(arguments.folder, arguments.table, arguments.processes))
    except KeyboardInterrupt:
        stop(STOPPED, f"stopped; what is labelled is in {arguments.table}, and the same command goes on")


if __name__ == "__main__":
    main()
