"""How well real pictures of handwritten digits are read, from the file as people send it to the label.

    python -m benchmarks.handwriting --folder DIR [--sheets OUT]

The folder holds pictures and a `labels.csv` with a header and the columns `file` (relative to the folder), `label`
(a label of the model, or `none` or `multi` for pictures of no digit or of several), and, if known, `kind` (such as
photo) and `source` (who wrote it): bring your own. A digit is read right if its label is the model's guess, sure or
not. A picture of none or several is refused if the model abstains or reports an error. `--sheets` writes, for every
digit that was misread and everything else that was answered, how the picture was read, stage by stage.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mnist_serving import Classifier
from mnist_serving.cli import explain_file, in_words, predict_file
from mnist_serving.errors import FileError
from tqdm import tqdm

from stages.metrics import wilson_interval

OTHERS = ("none", "multi")  # labels of pictures that do not show exactly one digit
BOLD = 0.99  # a wrong answer this probable is the worst kind


class Reading(NamedTuple):
    """A picture, and what the model said; `guess` is None if it reported an error."""

    file: Path
    label: str
    kind: str
    source: str
    guess: str | None
    probability: float
    answered: bool
    said: str

    @property
    def right(self) -> bool:
        """Whether the guess is the label."""
        return self.guess == self.label


def read_labels(folder: Path, labels: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of `labels.csv`.

    Raises:
        FileError: it is missing, or names a file that is not there or a label that is not one of `labels`.

    """
    table = folder / "labels.csv"
    if not table.is_file():
        raise FileError(f"{table} is missing: list the pictures there, with the columns file and label")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if not row.get("file") or not row.get("label"):
            raise FileError(f"{table} must have the columns file and label, parted by commas; a row has {row}")
        if not (folder / row["file"]).is_file():
            raise FileError(f"{table} names {row['file']}, which is missing")
        if row["label"] not in labels:
            raise FileError(f"{table} has the label {row['label']!r} for {row['file']}; allowed: {', '.join(labels)}")
    return rows


def read_folder(folder: Path) -> list[Reading]:
    """Ask the packaged model about every picture that `labels.csv` lists; raise as `read_labels` does."""
    classifier = Classifier()
    readings = []
    rows = read_labels(folder, (*classifier.contract.labels, *OTHERS))
    for row in tqdm(rows, desc="pictures", disable=None, leave=False):
        path = folder / row["file"]
        about = (path, row["label"], row.get("kind") or "", row.get("source") or "")
        try:
            answer = predict_file(classifier, path)
        except (FileError, ValueError) as error:
            readings.append(Reading(*about, None, 0.0, answered=False, said=str(error)))
            continue
        answered, probability = not answer["abstained"], float(answer["probability"])
        readings.append(Reading(*about, str(answer["label"]), probability, answered, in_words(answer)))
    return readings


def report(readings: Sequence[Reading]) -> str:
    """Return the table, in Markdown, with 95 % intervals, and the lines below it."""
    digits = [reading for reading in readings if reading.label not in OTHERS]
    lines = [
        "| pictures | n | right | 95 % interval | not sure | wrong at 99 % or more | errors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        _row("all digits", digits),
    ]
    lines += [_row(kind, [one for one in digits if one.kind == kind]) for kind in sorted({one.kind for one in digits})]
    sources = defaultdict(list)
    for reading in digits:
        sources[reading.source].append(reading.right)
    mean = sum(sum(right) / len(right) for right in sources.values()) / max(1, len(sources))
    lines += ["", f"mean of {len(sources)} sources: {mean:.1%}"]
    for label in OTHERS:
        refused = [not reading.answered for reading in readings if reading.label == label]
        if refused:
            low, high = wilson_interval(sum(refused), len(refused))
            share = f"{sum(refused) / len(refused):.1%} ({low:.1%} to {high:.1%})"
            lines.append(f"refused of {len(refused)} pictures of {label}: {share}")
    return "\n".join(lines)


def _row(name: str, some: Sequence[Reading]) -> str:
    """Return a row of the table."""
    count, right = len(some), sum(one.right for one in some)
    low, high = wilson_interval(right, count)
    unsure = sum(not one.answered and one.guess is not None for one in some) / count
    bold = sum(one.answered and not one.right and one.probability >= BOLD for one in some)
    errors = sum(one.guess is None for one in some)
    return f"| {name} | {count} | {right / count:.1%} | {low:.1%} to {high:.1%} | {unsure:.1%} | {bold} | {errors} |"


def write_sheets(readings: Iterable[Reading], folder: Path) -> int:
    """Write a sheet for each picture that was misread, or answered without showing one digit; return how many.

    A file that cannot be read as a picture has none.
    """
    taken: defaultdict[str, set[str]] = defaultdict(set)
    for one in readings:
        if one.answered if one.label in OTHERS else not one.right:
            explain_file(one.file, f"{one.label}: {one.said}", folder / one.label, taken[one.label])
    return len([*folder.rglob("*.png")])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How well real pictures of handwritten digits are read.")
    parser.add_argument(
        "--folder", type=Path, required=True, help="pictures, with a labels.csv: file,label,kind,source"
    )
    parser.add_argument("--sheets", type=Path, metavar="OUT", help="write how each misread picture was read")
    options = parser.parse_args()
    try:
        readings = read_folder(options.folder)
    except (FileError, OSError, ValueError) as error:
        sys.exit(f"handwriting: error: {error}")
    if not any(reading.label not in OTHERS for reading in readings):
        sys.exit(f"handwriting: error: {options.folder}/labels.csv lists no digits")
    print(report(readings))
    if options.sheets:
        print(f"{write_sheets(readings, options.sheets)} sheets written to {options.sheets}")


if __name__ == "__main__":
    main()
