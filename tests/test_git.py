"""`make repro` in a clone, a worktree, a submodule, a folder of another repository, and an archive without git."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_experiments import NAMES
from tests.test_own_pictures import draw_shapes
from tests.test_pipeline import ENVIRONMENT

# Of the pipeline the first stage is enough: it is DVC, and what it knows of git, that a place can confuse.
FIRST_STAGE = """#!/bin/sh
case "$*" in
    repro) exec "{dvc}" repro download ;;
    "metrics show") ;;
    *) exec "{dvc}" "$@" ;;
esac
"""
PLACES = {
    "clone": "git clone -q {root} {here}",
    "worktree": "git clone -q {root} clone && git -C clone worktree add -q {here}",
    "submodule": "mkdir outer && git -C outer init -q && "
    "cd outer && git -c protocol.file.allow=always submodule -q add "
    "{root} part && git commit -q -m part && ln -s outer/part {here}",
    "folder": "git init -q && mkdir {here} && git -C {root} archive HEAD | tar -x -C {here} && rm -r {here}/.dvc && "
    "cd {here} && dvc init -q --subdir",
    "archive": "mkdir {here} && git -C {root} archive HEAD | tar -x -C {here}",
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_make_repro_works_in(place: str, tmp_path: Path) -> None:
    here, program = tmp_path / "here", tmp_path / "bin/dvc"
    environment = ENVIRONMENT | NAMES

    def run(command: str, folder: Path = here) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    if not (ROOT / ".git").exists():
        pytest.skip("did not run: without git nothing can be cloned")
    run(PLACES[place].format(root=ROOT, here=here), tmp_path)
    program.parent.mkdir()
    program.write_text(FIRST_STAGE.format(dvc=shutil.which("dvc", path=ENVIRONMENT["PATH"])))
    program.chmod(0o755)
    environment["PATH"] = f"{program.parent}:{ENVIRONMENT['PATH']}"
    draw_shapes(here / "pictures", 4)
    repro = "make -o .venv/installed repro DATA=folder"
    assert "9 training and 3 test images" in run(repro)
    if place == "archive":
        assert "no_scm = true" in (here / ".dvc/config.local").read_text()
        run("git init -q")
        run(repro)
    run("! grep -s no_scm .dvc/config.local")
    run("git add . && git commit -q -m Before && dvc exp run --temp -n seed -S train.seed=5 download")
    assert "seed" in run("dvc exp list")
