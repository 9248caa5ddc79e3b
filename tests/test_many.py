"""Many files: in order, on several cores, with a bar on a terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mnist_serving import many
from mnist_serving.errors import FileError
from mnist_serving.many import in_order

from tests.test_cli import ONE, ZERO, enlarged

AT_ONCE = "from mnist_serving import cli, many; many.PATIENCE = 0; cli.main()"  # processes and bar before two seconds
FILES = [str(number) for number in range(50)]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 40 pictures, each third of them damaged."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(40):
        path = folder / f"{number:02}.png"
        enlarged(ONE if number % 2 else ZERO).save(path)
        if number % 3 == 0:
            path.write_bytes(path.read_bytes()[:100])
    return folder


def test_a_few_files_are_answered_without_other_processes() -> None:
    assert set(in_order(lambda _: os.getpid(), FILES)) == {os.getpid()}


def test_many_files_are_answered_by_other_processes_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "PATIENCE", 0)
    answers = list(in_order(lambda file: (file, os.getpid()), FILES))
    assert [file for file, _ in answers] == FILES
    assert os.getpid() not in {process for _, process in answers}


def test_a_process_that_was_killed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "PATIENCE", 0)
    with pytest.raises(FileError, match="was ended from outside"):
        list(in_order(lambda _: os.kill(os.getpid(), signal.SIGKILL), FILES))


def test_an_interrupt_ends_the_processes_silently(pictures: Path) -> None:
    files = [str(pictures / "01.png")] * 5_000
    command = [sys.executable, "-c", AT_ONCE, "predict", *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        first = running.stdout.readline()
        running.send_signal(signal.SIGINT)
        answers, said = running.communicate()
    assert (running.returncode, said) == (130, "")
    assert 0 < (first + answers).count("\n") < len(files)


def predict(folder: Path, *, terminal: bool) -> tuple[str, str]:
    """Run `predict` on a folder; return its answers, and what it says, on a terminal or not."""
    command = [sys.executable, "-W", "error", "-c", AT_ONCE, "predict", str(folder)]
    if not terminal:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout, done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as running:
        os.close(theirs)
        assert running.stdout is not None
        answers, said = running.stdout.read(), b""
        while piece := _read(ours):
            said += piece
    os.close(ours)
    return answers, said.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # which Linux says where all of it has been read
        return b""


def test_damaged_files_among_many_are_named_and_the_others_answered_in_order(pictures: Path) -> None:
    answers, said = predict(pictures, terminal=False)
    damaged = [str(pictures / f"{number:02}.png") for number in range(0, 40, 3)]
    assert re.findall(r"^mnist-serving: error: (.*): the picture", said, flags=re.MULTILINE) == damaged
    assert said.count("\n") == len(damaged), "no bar, and nothing else"
    answered = [line.split(": ")[0] for line in answers.splitlines()]
    assert answered == [str(path) for path in sorted(pictures.iterdir()) if str(path) not in damaged]


def test_a_terminal_shows_a_bar_which_is_gone_in_the_end(pictures: Path) -> None:
    answers, said = predict(pictures, terminal=True)
    assert answers == predict(pictures, terminal=False)[0]
    assert re.search(r"\r\[#* *\] \d+ of 40", said)
    assert said.rsplit("\r", 1)[1].strip() == ""
    for line in re.findall(r"mnist-serving: error.*", said):
        assert line.count("] ") == 0, "messages take lines of their own"


def test_there_are_as_many_processes_as_cores_that_this_one_may_use() -> None:
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from mnist_serving import many"
    done = subprocess.run([sys.executable, "-c", f"{program}; print(many.PROCESSES)"], capture_output=True, check=True)
    assert done.stdout == b"1\n"
