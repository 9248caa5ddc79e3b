"""Files are written whole or not at all, and a stage fails in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.io import StageError, atomic_write, run

SMALL_DISK = """
import resource, sys, torch
from pathlib import Path
from stages.io import atomic_write, run, save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = Path(sys.argv.pop())
run(lambda: {write})
"""


@pytest.mark.parametrize(
    "write", ["atomic_write(path, bytes(5000))", "save_tensors(path, 'weights', {'a': torch.zeros(5000)})"]
)
def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(tmp_path: Path, write: str) -> None:
    path = tmp_path / "model.bin"
    atomic_write(path, b"old")
    program = SMALL_DISK.format(write=write)
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == b"old"


def test_the_unfinished_file_of_a_killed_run_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "model.bin.tmp").write_bytes(b"half")
    atomic_write(tmp_path / "model.bin", b"whole")
    assert [file.name for file in tmp_path.iterdir()] == ["model.bin"]
    assert (tmp_path / "model.bin").read_bytes() == b"whole"


def test_a_stage_refuses_arguments_and_says_where_its_settings_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        """Write a file.

        Raises:
            StageError: it cannot.

        """

    for arguments, code, wanted in ((["--epochs", "3"], 2, "unrecognized"), (["--help"], 0, "settings are in params")):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            run(main)
        assert ended.value.code == code
        said = "".join(capsys.readouterr())
        assert wanted in said
        assert "Raises" not in said


def test_an_argument_that_a_command_needs_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(dest: str, name: str = "mine") -> None:
        print(dest, name)

    monkeypatch.setattr(sys, "argv", ["new.py"])
    with pytest.raises(SystemExit):
        run(main, dest="a folder", name="a name")
    assert "required: DEST\n" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["new.py", "there"])
    run(main, dest="a folder", name="a name")
    assert capsys.readouterr().out == "there mine\n"


def test_a_stage_that_fails_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stage"])

    def fail() -> None:
        raise StageError("no such thing: do this")

    with pytest.raises(SystemExit, match="error: no such thing: do this"):
        run(fail)
