"""docs/experiments.md, typed as it stands there, in a project under git."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import ROOT, edit_params
from tests.test_own_pictures import draw_shapes
from tests.test_pipeline import ENVIRONMENT

TEXT = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
COMMANDS = "".join(re.findall(r"^```sh\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)).splitlines()
NAMES = {f"GIT_{role}_{part}": "test@localhost" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
PATIENCE = 120  # seconds for what is queued


def run(folder: Path, *command: str) -> str:
    """Run a command in the project; return what it printed."""
    environment = ENVIRONMENT | NAMES | {"MNIST_MIRROR": "", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def committed(project: Path) -> Path:
    """The made-up project with its outputs, committed; the page's recipe changes only the comment that names it."""
    shutil.copytree(ROOT / "benchmarks", project / "benchmarks", ignore=shutil.ignore_patterns("node_modules"))
    (project / ".dvc/config.local").unlink()
    (project / ".gitignore").write_text("__pycache__/\n*.checkpoint\n/dvc_plots\n")
    edit_params(project, train__epochs=5, train__seed=0)
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("hold the recipe tutorial", "hold the recipe quick"))
    (project / "pictures/.gitkeep").touch()
    run(project, "git", "init", "--quiet")
    run(project, "dvc", "repro")
    run(project, "git", "add", "--all")
    run(project, "git", "commit", "--quiet", "--message", "Before")
    return project


def wait_for_the_queue(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while re.search(r"Running|Queued", run(folder, "dvc", "queue", "status")):
        assert time.monotonic() < deadline


def flat(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{place}{key}.") if isinstance(value, dict) else {f"{place}{key}": value}
    return found


def changes_of_experiments(folder: Path) -> dict[str, dict[str, Any]]:
    """By an experiment's name, each parameter that differs from the last commit's."""

    def params(revision: Mapping[str, Any]) -> dict[str, Any]:
        return flat(revision["data"]["params"]["params.yaml"]["data"])

    baseline = json.loads(run(folder, "dvc", "exp", "show", "--json"))[-1]
    before, changes = params(baseline), {}
    for experiment in baseline["experiments"]:
        after = params(experiment["revs"][0])
        keys = [key for key in before | after if before.get(key) != after.get(key)]
        changes[experiment["name"]] = {key: after.get(key) for key in keys}
    return changes


def test_the_documented_commands_do_what_is_said_of_them(committed: Path) -> None:
    printed = {}
    for command in COMMANDS:
        words = [sys.executable if word == "python" else word for word in shlex.split(command)]
        if command.startswith("python -m benchmarks.seeds"):
            words = [{"5": "2", "quick": "tutorial"}.get(word, word) for word in words]  # enough to see
        printed[command] = run(committed, *words)
        if command.startswith("dvc queue status"):
            wait_for_the_queue(committed)
        if "--temp" in command and "-n quick" not in command:
            assert not run(committed, "git", "status", "--short"), f"{command} changed the folder"
    assert (committed / "dvc_plots/index.html").exists()

    changes = changes_of_experiments(committed)
    assert changes.pop("wider") == {"model.hidden": [256]}, "something was left over from another experiment"
    assert changes.pop("faster") == {"objective.learning_rate": 0.002}
    quick = changes.pop("quick")
    assert quick["train.epochs"] == 30
    assert "train.seed" not in quick
    of_seeds = sorted(change.get("train.seed", 0) for change in changes.values() if change.keys() <= {"train.seed"})
    assert of_seeds == [0, 1, 1, 2], "two were queued, and two by benchmarks.seeds"
    assert len(of_seeds) == len(changes)

    shown = next(text for command, text in printed.items() if command.startswith("dvc exp show"))
    columns = re.findall(r"[^|\s]+", shown.splitlines()[0])  # without a metric where all runs are as good
    assert set(columns) - {"accuracy", "errors"} == {"Experiment", "model.hidden", "objective.learning_rate"}
    compared = printed["dvc exp diff wider faster"]
    assert re.search(r"model.hidden +\[256\] +\[128\] ", compared)
    assert re.search(r"objective.learning_rate +0.001 +0.002 ", compared)
    assert " M params.yaml" in printed["git status --short"]
    table = printed[COMMANDS[-1]]
    assert re.search(r"^\| 0 \| [\d.]+% \| \d+ \| [\d.]+% \|\n\| 1 \| ", table, flags=re.MULTILINE)
    assert re.search(r"^n = 2, mean [\d.]+%, standard deviation [\d.]+%", table, flags=re.MULTILINE)


def test_without_temp_an_experiment_starts_with_what_the_last_one_left(committed: Path) -> None:
    block = next(text for text in re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL) if "dvc exp run" in text)
    for command in block.splitlines():
        run(committed, *shlex.split(command))
    both = {"model.hidden": [256], "objective.learning_rate": 0.002}
    assert sorted(changes_of_experiments(committed).values(), key=len) == [{"model.hidden": [256]}, both]
    assert "# box 2" in (committed / "params.yaml").read_text(), "the comments stay"


def test_an_experiment_has_the_own_pictures_that_were_added_since_the_commit(project: Path) -> None:
    (add,) = set(re.findall(r"`(dvc add [^`]*)`", (ROOT / "docs/data.md").read_text(encoding="utf-8")))
    (project / ".dvc/config.local").unlink()
    draw_shapes(project / "pictures", 4)
    edit_params(project, data__dataset="folder")
    for command in ("git init --quiet", add, "dvc repro download", "git add --all", "git commit --quiet -m Before"):
        run(project, "bash", "-c", command)
    Image.new("L", (28, 28)).save(project / "pictures/ring/more.png")
    for command in (add, "dvc exp run --queue -n queued download", "dvc queue start"):
        run(project, "bash", "-c", command)
    run(project, "dvc", "exp", "run", "--temp", "-n", "temp", "download")
    wait_for_the_queue(project)
    baseline = json.loads(run(project, "dvc", "exp", "show", "--json"))[-1]
    files = {entry["name"]: entry["revs"][0]["data"]["deps"]["pictures"]["nfiles"] for entry in baseline["experiments"]}
    before = baseline["data"]["deps"]["pictures"]["nfiles"]
    assert files == {"queued": before + 1, "temp": before + 1}


def test_a_sweep_of_an_unknown_recipe_says_so() -> None:
    command = [sys.executable, "-m", "benchmarks.seeds", "--recipe", "nothing"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unknown recipe 'nothing'; recipes here: accurate, " in done.stderr
    assert done.stderr.count("\n") == 1
