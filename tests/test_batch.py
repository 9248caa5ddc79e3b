"""The batch job of `examples/batch`: whatever happens to it, in the end every picture has its row."""

import csv
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import psutil
import pytest
from mnist_serving import Classifier, canonicalize
from mnist_serving.images import read_grey

from tests.http_server import ENVIRONMENT, PATIENCE, eventually
from tests.test_examples import EXAMPLES, blocks, find_line

JOB = EXAMPLES / "batch"
BATCH = [sys.executable, str(JOB / "label.py")]
MANY = 60  # pictures: some seconds of work
Row = dict[str, str]


def read_table(path: Path) -> dict[str, Row]:
    """Return a table's rows by file."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def run(folder: Path, table: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the job to its end."""
    command = [*BATCH, str(folder), str(table), *flags]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600)


def start(folder: Path, table: Path) -> subprocess.Popen[str]:
    """Start the job, in a process group of its own as a terminal would."""
    command = [*BATCH, str(folder), str(table)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with the golden examples: three digits, a letter, and a pattern in which no digit is found."""
    folder = tmp_path / "pictures"
    subprocess.run([sys.executable, EXAMPLES / "pictures.py", folder], check=True)
    return folder


@pytest.fixture
def many(pictures: Path) -> Path:
    """A folder with many pictures, in folders."""
    for number in range(MANY):
        target = pictures / f"folder {number % 3}" / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(pictures / f"golden-{number % 4 + 1}.png", target)
    for path in pictures.glob("golden-*"):
        path.unlink()
    return pictures


def test_the_readmes_command_gives_each_picture_its_row(pictures: Path) -> None:
    command = shlex.split(find_line("batch", "python label.py"))
    assert command == ["python", "label.py", "pictures", "labels.csv"]
    done = subprocess.run(
        [*BATCH, *command[2:]], cwd=pictures.parent, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == blocks("batch", "text")[0] == "5 pictures, 5 labelled now; 1 not sure, 1 could not be read\n"
    rows = read_table(pictures.parent / "labels.csv")
    assert list(rows) == [f"golden-{number}.png" for number in (1, 2, 3, 4, 5)]
    assert "no digit found" in rows.pop("golden-5.png")["error"]
    for name, row in rows.items():
        wanted = Classifier().predict(canonicalize(read_grey((pictures / name).read_bytes())))
        assert row["label"] == wanted.labels[0]
        assert float(row["probability"]) == pytest.approx(wanted.probabilities.max(), abs=1e-6)
        assert row["abstained"] == str(wanted.abstained[0]).lower()
        assert row["model"] == Classifier().checksum[:12]
        assert row["error"] == ""


def test_killed_at_any_time_it_goes_on_and_leaves_what_an_undisturbed_job_leaves(many: Path, tmp_path: Path) -> None:
    table = tmp_path / "killed.csv"
    for least in (1, 10, 20):
        job = start(many, table)
        eventually(lambda least=least: table.exists() and len(read_table(table)) > least, "rows")
        job.kill()
        job.communicate(timeout=PATIENCE)  # comes to its end: none of the job's processes outlives it
        assert not (tmp_path / "killed.csv.tmp").exists()
    held = len(read_table(table))
    done = run(many, table)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{MANY} pictures, {MANY - held} labelled now" in done.stdout
    assert run(many, tmp_path / "undisturbed.csv", "--processes", "1").returncode == 0
    assert table.read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()


def test_by_default_there_are_as_many_processes_as_cores_that_the_job_may_use() -> None:
    program = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); sys.argv = ['label.py', '.', '.'];"
        "import label; label.run = lambda folder, table, processes: print(processes); label.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=JOB, env=ENVIRONMENT, capture_output=True, check=True)
    assert done.stdout == b"1\n"


@pytest.mark.parametrize("least", [0, 2])  # rows: while the processes start, and while they work
def test_ctrl_c_is_one_line_that_says_how_to_go_on(least: int, many: Path, tmp_path: Path) -> None:
    table = tmp_path / "stopped.csv"
    job = start(many, table)
    eventually(lambda: table.exists() and len(read_table(table)) >= least, "rows")
    os.killpg(job.pid, signal.SIGINT)
    printed, complaint = job.communicate(timeout=PATIENCE)
    held = len(read_table(table))
    assert (job.returncode, printed) == (130, "")
    assert complaint == f"label.py: stopped; what is labelled is in {table}, and the same command goes on\n"
    assert f"{MANY - held} labelled now" in run(many, table).stdout


def test_a_process_that_is_ended_from_outside_is_one_line_too(many: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    job = start(many, table)
    eventually(lambda: table.exists() and len(read_table(table)) > 1, "rows")
    workers = [child for child in psutil.Process(job.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    workers[0].kill()
    _, complaint = job.communicate(timeout=PATIENCE)
    assert job.returncode == 1
    assert complaint.count("\n") == 1
    assert complaint.endswith("the same command goes on\n")


def test_a_table_cut_off_anywhere_is_a_whole_one_with_less_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(JOB)
    from table import Answer, Picture, atomic_write, read_rows

    names = ["a, b.png", 'new\n"line".png', "\r.png", os.fsdecode(b"\xff.png"), "=1.png"]
    rows = {name: (Picture(name, "1", "2", "model"), Answer("7", "0.9", "false", "")) for name in names}
    rows["bad.png"] = (Picture("bad.png", "", "", "model"), Answer(error="no, none"))
    table = tmp_path / "table.csv"
    atomic_write(table, rows)
    assert read_rows(table) == rows
    content = table.read_bytes()
    lengths = []
    for end in range(content.index(b"\n") + 1, len(content)):
        table.write_bytes(content[:end])
        found = read_rows(table)
        assert found.items() <= rows.items()
        lengths.append(len(found))
    assert lengths == sorted(lengths)
    assert set(lengths) == set(range(len(rows)))


def test_it_labels_again_what_is_new_changed_or_of_another_model_and_nothing_else(
    pictures: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    (pictures / "golden-5.png").unlink()
    assert run(pictures, table).returncode == 0
    content = table.read_text()
    assert "4 pictures, 0 labelled now" in run(pictures, table).stdout
    assert table.read_text() == content

    shutil.copy(pictures / "golden-1.png", pictures / "golden-2.png")  # changed
    shutil.copy(pictures / "golden-1.png", pictures / "new.png")
    (pictures / "golden-3.png").unlink()
    lines = content.splitlines(keepends=True)
    model = Classifier().checksum[:12]
    table.write_text("".join(line.replace(model, "another") if "golden-4" in line else line for line in lines))
    assert "4 pictures, 3 labelled now" in run(pictures, table).stdout
    rows = read_table(table)
    assert list(rows) == ["golden-1.png", "golden-2.png", "golden-3.png", "golden-4.png", "new.png"]
    assert rows["golden-2.png"]["label"] == rows["new.png"]["label"] == rows["golden-1.png"]["label"]
    assert rows["golden-4.png"]["model"] == model


def test_what_cannot_be_read_has_a_row_with_the_reason_and_is_tried_again(pictures: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    good = (pictures / "golden-1.png").read_bytes()
    (pictures / "golden-5.png").unlink()
    (pictures / "text.jpg").write_text("seven")
    (pictures / "half.PNG").write_bytes(good[:200])
    (pictures / "empty.jpeg").touch()
    (pictures / "link.png").symlink_to("nowhere")
    (pictures / "folder.png").mkdir()
    (pictures / "notes.txt").write_text("no picture, and no row")
    os.mkfifo(pictures / "pipe.png")
    done = run(pictures, table)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "9 pictures, 9 labelled now; 1 not sure, 5 could not be read\n"
    errors = {name: row["error"] for name, row in read_table(table).items() if row["error"]}
    assert list(errors) == ["empty.jpeg", "half.PNG", "link.png", "pipe.png", "text.jpg"]
    assert errors["link.png"] == "No such file or directory"
    assert errors["pipe.png"] == "no regular file"
    (pictures / "nowhere").write_bytes(good)
    done = run(pictures, table)
    assert done.stdout == "9 pictures, 5 labelled now; 1 not sure, 4 could not be read\n"
    assert read_table(table)["link.png"]["label"] == read_table(table)["golden-1.png"]["label"]


@pytest.mark.parametrize(
    ("folder", "table", "reason"),
    [
        ("missing", "table.csv", "No such file or directory"),
        ("notes.txt", "table.csv", "Not a directory"),
        ("empty", "table.csv", "no file in it that ends in .png"),
        ("pictures", "missing/table.csv", "No such file or directory"),
        ("pictures", "pictures", "is not a file; give the table another name"),
        ("pictures", "/dev/null", "is not a file; give the table another name"),
        ("pictures", "notes.txt", "is something else"),
        ("pictures", "pictures/golden-1.png", "is something else"),
    ],
)
def test_wrong_usage_is_one_line_and_touches_nothing(
    folder: str, table: str, reason: str, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("file,label\nseven.png,7\n")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    done = run(tmp_path / folder, tmp_path / table)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert reason in done.stderr
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before
    assert pictures.is_dir()


def test_a_bar_shows_on_a_terminal_only(pictures: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    os.set_blocking(ours, False)
    command = [*BATCH, str(pictures), str(tmp_path / "table.csv")]
    subprocess.run(command, env=ENVIRONMENT, stderr=theirs, stdout=subprocess.PIPE, check=False)
    assert b"/5 [" in os.read(ours, 65_536)
    os.close(theirs)
    os.close(ours)
