"""Recipes fill boxes 1 to 4 of params.yaml, and nothing else of the file changes."""

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages import check
from stages import recipe as recipe_stage
from stages.check import Params
from stages.config import PARAMS_FILE, load_params
from stages.io import StageError
from stages.recipe import NAMED, fill, recipe_names
from tests.conftest import ROOT

with chdir(ROOT):  # whatever is chosen in it
    TEXT = fill((ROOT / "params.yaml").read_text(encoding="utf-8"), "accurate")


CHANGED = {"dataset": "folder", "device": "auto"}


def recipe(name: str) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = YAML(typ="safe").load((ROOT / f"recipes/{name}.yaml").read_text())
    return content


def merged(section: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return a section with values written into it, at any depth."""
    return section | {
        key: merged(section[key], value) if isinstance(value, dict) else value for key, value in values.items()
    }


def test_params_yaml_holds_the_recipe_that_it_names() -> None:
    """The committed file; whoever changes a box and commits it removes the comment that names the recipe."""
    done = subprocess.run(["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("did not run: nothing is committed here")
    if named := NAMED.search(done.stdout):
        assert fill(done.stdout, named[1]) == done.stdout, "edit recipes/, or delete the comment in params.yaml"


@pytest.mark.parametrize("name", ["tutorial", "quick", "accurate", "cnn"])
def test_a_recipe_fills_the_boxes_with_valid_values(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(ROOT)
    filled = fill(TEXT, name)
    params = load_params(Params, text=filled).model_dump(mode="json")
    for box, values in recipe(name).items():
        assert merged(params[box], values) == params[box]
    assert NAMED.findall(filled) == [name]


def test_filling_back_and_forth_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    first = fill(TEXT, "accurate")
    text = first
    for name in (*recipe_names(), "accurate"):
        text = fill(text, name)
    assert text == first


def test_data_set_seed_and_device_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    own = re.sub(r"(?m)(?<=^  )(dataset|device): \w+", lambda line: f"{line[1]}: {CHANGED[line[1]]}", TEXT)
    params = load_params(Params, text=fill(own, "tutorial"))
    assert (params.data.dataset, params.train.device) == ("folder", "auto")


def test_the_command_writes_the_file_and_names_the_recipes_it_knows(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    for name, code in (("cn", 1), ("cnn", 0)):
        command = [sys.executable, "-m", "stages.recipe", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code
        if code:
            assert done.stderr == f"recipe: error: unknown recipe 'cn'; recipes here: {', '.join(recipe_names())}\n"
            assert (project / "params.yaml").read_text() == before
    assert load_params(Params).model.kind == "cnn"


def test_a_recipe_with_a_section_that_is_not_a_box_is_refused(project: Path) -> None:
    (project / "recipes/mine.yaml").write_text("evaluate: {calibration_bins: 3}\n")
    with pytest.raises(StageError, match="unknown section `evaluate`; a recipe fills data, model, objective, train"):
        fill((project / "params.yaml").read_text(), "mine")


def test_two_blanks_before_a_hash_go_only_before_comments() -> None:
    text = TEXT.replace("    path: pictures", "    path: 'my # pictures'")
    assert "    path: 'my # pictures'  # <label>/*" in fill(text, "cnn")


def test_a_name_with_hyphens_and_dots_is_replaced_whole(project: Path) -> None:
    (project / "recipes/my-recipe.2.yaml").write_text("train: {epochs: 3}\n")
    for name in ("my-recipe.2", "quick"):
        text = fill((project / "params.yaml").read_text(), name)
        (project / "params.yaml").write_text(text)
        assert f"hold the recipe {name}; `make" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# nothing\n", "must hold the sections data, model, objective, train"),
        ("model: mlp\n", "`model` is 'mlp'; write keys and values below it"),
        ("model:\n", "`model` is None; write keys and values below it"),
        ("model: [\n", "is not valid YAML, line 2"),
        ("1: 2\n", "unknown section `1`"),
    ],
)
def test_a_damaged_recipe_is_refused_in_one_line(project: Path, text: str, words: str) -> None:
    (project / "recipes/mine.yaml").write_text(text)
    with pytest.raises(StageError, match=rf"^recipes/mine\.yaml.*{re.escape(words)}.*$"):
        fill(TEXT, "mine")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hidden: [128]", "hidden: [", "is not valid YAML, line"),
        ("hidden: [128]", "hidden: 2001-99-99", "is not valid YAML: month must be in 1..12"),
        ("\nobjective:", "\nobjectives:", "did you mean `objective`?"),
        ("\nexport:", "\n1: 2\nexport:", "unknown key `1` (value 2)"),
        (TEXT[TEXT.index("\ntrain:") : TEXT.index("\ndetector:")], "\ntrain: 3\n", "`train` is 3; write keys and"),
    ],
)
def test_a_damaged_params_yaml_is_named_in_one_line(old: str, new: str, words: str) -> None:
    with pytest.raises(StageError, match=rf"^params\.yaml.*{re.escape(words)}"):
        fill(TEXT.replace(old, new), "quick")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("write", [recipe_stage.main, check.main])
def test_a_params_yaml_that_is_no_text_is_named_in_one_line(write: Callable[[str], None]) -> None:
    PARAMS_FILE.write_bytes(b'data: "\xff"')
    with pytest.raises(StageError, match=r"^params\.yaml is not valid YAML: .*$"):
        write("quick" if write is recipe_stage.main else "folder")
