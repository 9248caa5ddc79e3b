"""docs/team.md, typed as it stands there by two people with a clone each, against a real S3 server."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, edit_params
from tests.programs import installed
from tests.seaweedfs import KEYS, running_s3
from tests.test_experiments import NAMES
from tests.test_pipeline import ENVIRONMENT

TEXT = (ROOT / "docs/team.md").read_text(encoding="utf-8")
BLOCKS = [block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)]
WEIGHTS, DETECTOR = "models/weights.safetensors", "models/detector.safetensors"


def run(folder: Path, *command: str) -> str:
    """Run a command, with the dvc that knows S3; return what it printed."""
    settings = ENVIRONMENT | NAMES | KEYS | {"MNIST_MIRROR": "", "COLUMNS": "200"}
    settings["PATH"] = os.pathsep.join([str(folder.parent / "programs"), ENVIRONMENT["PATH"]])
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def type_block(number: int, folder: Path, **places: str) -> str:
    """Type a block of the page with places of the test; return what its last line printed."""
    printed = ""
    for line in BLOCKS[number]:
        for written, here in places.items():
            line = line.replace(written, here)  # noqa: PLW2901
        printed = run(folder, *shlex.split(line))
    return printed


@pytest.fixture
def mine(project: Path, tmp_path: Path) -> Path:
    """The made-up project with its outputs, committed and pushed to a repository that others can clone."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/dvc").symlink_to(installed("team", "dvc"))
    (project / ".dvc/config.local").unlink()
    (project / "pictures/.gitkeep").touch()  # git keeps no empty folder
    (project / ".gitignore").write_text("__pycache__/\n*.checkpoint\n")
    run(project, "git", "init", "--quiet", "--initial-branch", "main")
    run(project, "dvc", "repro")
    run(project, "git", "add", "--all")
    run(project, "git", "commit", "--quiet", "--message", "Before")
    run(tmp_path, "git", "init", "--quiet", "--bare", "--initial-branch", "main", "origin.git")
    run(project, "git", "remote", "add", "origin", str(tmp_path / "origin.git"))
    return project


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[str]:
    """The address of an S3 server."""
    folder = tmp_path / "s3"
    folder.mkdir()
    with running_s3(folder) as address:
        yield address


def clone(mine: Path, name: str) -> Path:
    """What a colleague has after `git clone`."""
    run(mine, "git", "push", "--quiet", "origin", "main")
    run(mine.parent, "git", "clone", "--quiet", "origin.git", name)
    return mine.parent / name


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_people_share_weights_and_experiments(mine: Path, s3: str, tmp_path: Path) -> None:
    type_block(0, mine, **{"https://s3.example.org": s3})
    shutil.rmtree(mine / ".dvc/cache")  # so that nothing but the remote has them
    theirs = clone(mine, "theirs")
    assert "Running stage" not in type_block(1, theirs)
    assert (theirs / WEIGHTS).read_bytes() == (mine / WEIGHTS).read_bytes()
    assert run(theirs, "git", "status", "--porcelain") == ""

    edit_params(theirs, detector__epochs=1)  # the run cache: what one of them has run, the other need not
    run(theirs, "dvc", "repro", "detector")
    run(theirs, "dvc", "push", "--run-cache")
    edit_params(mine, detector__epochs=1)
    run(mine, "dvc", "pull", "--run-cache", "--force")
    assert "Running stage" not in run(mine, "dvc", "repro", "--pull", "detector")
    assert (mine / DETECTOR).read_bytes() == (theirs / DETECTOR).read_bytes()
    for folder in (mine, theirs):
        run(folder, "git", "checkout", "--quiet", ".")
        run(folder, "dvc", "checkout")

    type_block(2, mine)
    assert "wider" in run(theirs, *shlex.split(BLOCKS[3][0]))
    type_block(3, theirs)
    assert "- 256" in (theirs / "params.yaml").read_text()
    assert (theirs / WEIGHTS).read_bytes() != (mine / WEIGHTS).read_bytes()

    table = type_block(5, theirs)
    assert re.search(r"^\| metrics.json +\| \w+ +\|", table, flags=re.MULTILINE)  # those that differ

    type_block(4, theirs, **{"/srv/dvc-cache": str(tmp_path / "shared")})
    run(theirs, "dvc", "fetch")
    assert any((tmp_path / "shared/files/md5").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_without_a_remote_dvc_pull_fails_and_the_readme_says_that_nothing_has_to_be_pulled(mine: Path) -> None:
    with pytest.raises(AssertionError, match=r"no remote specified|failed to pull"):
        run(clone(mine, "theirs"), "dvc", "pull")
    assert "nothing has to be pulled" in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


def test_the_page_shows_each_step_once() -> None:
    assert [len(block) for block in BLOCKS] == [4, 2, 2, 3, 3, 1]


def test_this_repository_has_no_remote_that_others_could_not_reach() -> None:
    assert "remote" not in (ROOT / ".dvc/config").read_text()
