"""The benchmark of real pictures, on pictures drawn by code."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from benchmarks.handwriting import read_folder, report, write_sheets
from tests.conftest import ROOT

HEADER = ("file", "label", "kind", "source")


def draw_seven(path: Path) -> None:
    picture = Image.new("L", (120, 160), 240)
    ImageDraw.Draw(picture).line(((25, 30), (90, 30), (55, 130)), fill=20, width=9, joint="curve")
    picture.save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A seven, the same under a wrong label, an empty page, and a file that is not a picture."""
    draw_seven(tmp_path / "seven.png")
    Image.new("L", (90, 90), 200).save(tmp_path / "empty.png")
    (tmp_path / "broken.png").write_text("not a picture")
    rows = [("seven.png", "7", "canvas", "a"), ("seven.png", "1", "canvas", "b"), ("empty.png", "none", "scan", "a")]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows, ("broken.png", "3", "photo", "b")])
    return tmp_path


def test_digits_are_counted_right_by_their_label_and_other_pictures_by_refusal(folder: Path) -> None:
    table = report(read_folder(folder))
    assert "| all digits | 3 | 33.3% |" in table
    assert "| canvas | 2 | 50.0% |" in table
    assert table.count("| photo | 1 | 0.0% |") == 1
    assert "mean of 2 sources: 50.0%" in table
    assert "refused of 1 pictures of none: 100.0%" in table


def test_a_sheet_is_written_for_each_misread_picture(folder: Path, tmp_path: Path) -> None:
    readings = read_folder(folder)
    assert write_sheets(readings, tmp_path / "sheets") == 1
    assert [path.name for path in (tmp_path / "sheets").rglob("*.png")] == ["seven.png.png"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "labels.csv is missing: list the pictures there"),
        ("picture,digit\na.png,1\n", "must have the columns file and label"),
        ("file;label\na.png;1\n", "must have the columns file and label, parted by commas"),
        ("file,label\n", "lists no digits"),
        ("file,label\nb.png,1\n", "names b.png, which is missing"),
        ("file,label\na.png,cat\n", "has the label 'cat' for a.png; allowed: 0, 1, 2,"),
    ],
)
def test_a_folder_without_usable_labels_is_reported_in_one_line(tmp_path: Path, text: str | None, words: str) -> None:
    draw_seven(tmp_path / "a.png")
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    command = [sys.executable, "-m", "benchmarks.handwriting", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("handwriting: error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
