"""The command `mnist-serving` and its streams: pipes, standard input, and what the caller has closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mnist_serving.classifier import PACKAGED_MODEL

from tests.test_cli import ZERO, enlarged


def in_a_shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command line in which `predict` stands for the program."""
    program = f"{sys.executable} -m mnist_serving predict"
    line = f"set -o pipefail; {command.replace('predict', program)}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, env=os.environ | environment, check=False
    )


def test_a_dash_is_standard_input(tmp_path: Path) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    assert in_a_shell("predict - < zero.png", tmp_path).stdout.startswith(b"-: 0")


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_is_said_where_the_output_is_closed_is_lost_and_nothing_else_fails(tmp_path: Path, streams: str) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    done = in_a_shell(f"predict zero.png missing.png {streams}", tmp_path)
    answers, errors = (
        [b"zero.png: 0"] * (streams == "2>&-"),
        [b"mnist-serving: error: missing.png"] * (streams == ">&-"),
    )
    assert [line.partition(b"  ")[0] for line in done.stdout.splitlines()] == answers
    assert [line.rpartition(b": ")[0] for line in done.stderr.splitlines()] == errors
    assert done.returncode == 1


def test_a_command_whose_output_is_closed_ends_with_its_exit_code() -> None:
    program = "from mnist_serving.errors import exit_with; exit_with(lambda: 7)"
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{program}" >&-'], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (7, b"")


def test_standard_input_that_is_closed_is_an_error_in_one_line(tmp_path: Path) -> None:
    done = in_a_shell("predict - <&-", tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"mnist-serving: error: -: standard input is closed\n"


def test_names_that_cannot_be_printed_are_escaped_and_the_files_after_them_answered(tmp_path: Path) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    for name in (b"a\xff.png", b"b\nc.png", "d\u00e9.png".encode(), b"e.png"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).symlink_to("zero.png")
    done = in_a_shell("predict *.png", tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    names = [line.split(b":")[0] for line in done.stdout.splitlines()]
    assert sorted(names) == [b"a\\udcff.png", b"b\\nc.png", b"d\\xe9.png", b"e.png", b"zero.png"]
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_model_whose_name_cannot_be_printed_is_described(tmp_path: Path) -> None:
    (tmp_path / "d\u00e9.onnx").symlink_to(PACKAGED_MODEL)
    command = [sys.executable, "-m", "mnist_serving", "info", "--model", "d\u00e9.onnx"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.splitlines()[0].split()) == (0, b"", [b"file", b"d\\xe9.onnx"])


def test_a_reader_that_takes_no_more_ends_it_silently(tmp_path: Path) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    done = in_a_shell(f"predict {'zero.png ' * 200} | head -1", tmp_path, PYTHONUNBUFFERED="")
    assert (done.returncode, done.stdout.count(b"\n"), done.stderr) == (141, 1, b"")


def test_standard_input_is_read_once_for_its_answer_and_its_sheet(tmp_path: Path) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    done = in_a_shell("predict - --explain why < zero.png", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [path.name for path in (tmp_path / "why").iterdir()] == ["-.png"]
