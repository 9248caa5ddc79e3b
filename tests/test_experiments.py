"""docs/experiments.md, typed as it stands there, in a project under git."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_pipeline import ENVIRONMENT

TEXT = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)).splitlines()
AUTHOR = ["-c", "user.name=a test", "-c", "user.email=test@localhost"]
PATIENCE = 120  # seconds for what is queued


def run(folder: Path, *command: str) -> str:
    """Run a command in the project; return what it printed."""
    environment = ENVIRONMENT | {"PYTHONPATH": str(folder), "MNIST_MIRROR": "", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def committed(project: Path) -> Path:
    """The made-up project with its outputs, committed."""
    shutil.copytree(ROOT / "benchmarks", project / "benchmarks", ignore=shutil.ignore_patterns("node_modules"))
    (project / ".dvc/config.local").unlink()
    (project / ".gitignore").write_text("__pycache__/\n*.checkpoint\n/dvc_plots\n")
    run(project, "git", "init", "--quiet")
    run(project, "dvc", "repro")
    run(project, "git", "add", "--all")
    run(project, "git", *AUTHOR, "commit", "--quiet", "--message", "A baseline")
    return project


def wait_for_the_queue(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while re.search(r"Running|Queued", run(folder, "dvc", "queue", "status")):
        assert time.monotonic() < deadline


def test_the_documented_commands_do_what_is_said_of_them(committed: Path) -> None:
    printed = {}
    for command in COMMANDS:
        words = [sys.executable if word == "python" else word for word in shlex.split(command)]
        short = {"5": "2", "quick": "tutorial"}  # enough to see
        printed[command] = run(committed, *[short.get(word, word) for word in words])
        if command.startswith("dvc queue status"):
            wait_for_the_queue(committed)
        if command == "dvc plots diff":
            assert (committed / "dvc_plots/index.html").exists()
            run(committed, "git", "checkout", "--quiet", ".")
    experiments = next(text for command, text in printed.items() if command.startswith("dvc exp show"))
    assert "[tutorial]" in experiments
    assert "[wider]" in experiments
    assert len(re.findall(r"tutorial +[12] ", experiments)) == 2
    table = printed[COMMANDS[-1]]
    assert re.search(r"^\| 0 \| [\d.]+% \| \d+ \| [\d.]+% \|\n\| 1 \| ", table, flags=re.MULTILINE)
    assert re.search(r"^n = 2, mean [\d.]+%, standard deviation [\d.]+%", table, flags=re.MULTILINE)


def test_a_sweep_of_a_recipe_that_there_is_not_says_so() -> None:
    command = [sys.executable, "-m", "benchmarks.seeds", "--recipe", "nothing"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "`recipe` is 'nothing'; recipes here: tutorial, " in done.stderr
    assert done.stderr.count("\n") == 1
