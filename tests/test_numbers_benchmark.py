"""The benchmark of whole numbers, on pictures drawn by code."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.numbers import PAPERS, Reading, drawn, read_folder, report
from tests.conftest import ROOT
from tests.test_number import page


def test_numbers_and_other_pictures_of_a_folder_are_counted_apart(tmp_path: Path) -> None:
    page("42").save(tmp_path / "42.png")
    Image.new("L", (90, 90), 255).save(tmp_path / "blank.png")
    rows = [("42.png", "42"), ("42.png", "43"), ("blank.png", "7"), ("blank.png", "none"), ("42.png", "letters")]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label"), *rows])
    table = report(read_folder(tmp_path)).splitlines()
    shares = [[share.split("%")[0] for share in line.split(" | ")[2:]] for line in table[2:]]
    assert table[2].startswith("| anything else | 2 |")
    assert table[3].startswith("| numbers | 3 |")
    assert shares == [["0.0", "50.0", "50.0"], ["33.3", "33.3", "33.3"]]


def test_composed_numbers_are_counted_by_length_and_by_paper() -> None:
    readings = [Reading("drawn, plain", "42", "42"), Reading("drawn, ruled", "4", None)]
    names = [line.split(" | ")[0] for line in report(readings).splitlines()[2:]]
    assert names == ["| drawn, length 1", "| drawn, length 2", "| drawn, plain, length 2 to 5"]


@pytest.mark.parametrize("paper", PAPERS)
def test_the_same_seed_composes_the_same_page(paper: str) -> None:
    first, again, other = (
        PAPERS[paper](drawn("1984", random), random) for random in map(np.random.default_rng, (1, 1, 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_folder_without_usable_labels_is_reported_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.numbers", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("numbers: error: ")
    assert done.stderr.count("\n") == 1
