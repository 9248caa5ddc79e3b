"""Fill boxes 1 to 4 of `params.yaml` from a recipe, and keep its comments.

    python -m stages.recipe NAME

A recipe is a file, `recipes/NAME.yaml`, with the same sections and keys. Keys that it does not name keep their values,
such as the data set, the seed and the device.
"""

import re
from collections.abc import MutableMapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.config import BOXES, PARAMS_FILE, read_mapping, read_sections
from stages.io import StageError, atomic_write, run

RECIPES = Path("recipes")
NULL = "tag:yaml.org,2002:null"
NAMED = re.compile(r"^# Boxes 1 to 4 hold the recipe ([\w.-]*\w)", re.MULTILINE)  # the comment that names the recipe


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def fill(text: str, name: str) -> str:
    """Return the text of `params.yaml` with its boxes filled by a recipe.

    Raises:
        StageError: the recipe is unknown or has sections other than the boxes, or one of the two files is damaged.

    """
    if name not in recipe_names():
        raise StageError(f"unknown recipe {name!r}; recipes here: {', '.join(recipe_names())}")
    path = RECIPES / f"{name}.yaml"
    recipe = read_mapping(path, BOXES)
    if unknown := [section for section in recipe if section not in BOXES]:
        raise StageError(f"{path}: unknown section `{unknown[0]}`; a recipe fills {', '.join(BOXES)}")
    for file, content in ((path, recipe), (PARAMS_FILE, read_sections(text))):
        for box in BOXES:
            if not isinstance(content.get(box, {}), dict):
                raise StageError(f"{file}: `{box}` is {content[box]!r}; write keys and values below it")
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 120, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(NULL, "null"))
    params = yaml.load(text)
    for box, values in yaml.load(path.read_text(encoding="utf-8")).items():
        _merge(params[box], values)
    filled = StringIO()
    yaml.dump(params, filled)
    return NAMED.sub(f"# Boxes 1 to 4 hold the recipe {name}", _tidy(filled.getvalue()))


def _tidy(text: str) -> str:
    """Restore what writing loses: the blank line that went with a removed key, and two spaces before a comment."""
    spaced = re.sub(r"\n+((?:#.*\n)*[a-z_]+:)", r"\n\n\1", text)
    value = r"""(?:[^"'#\n]|"[^"\n]*"|'[^'\n]*')*(?<=\S)"""  # in quotes, a # begins no comment
    return re.sub(rf"(?m)^({value}) +(?=# )", r"\1  ", spaced)


def _merge(section: MutableMapping[str, Any], values: MutableMapping[str, Any]) -> None:
    """Write values into a section key by key; another `kind` has other keys, so the old ones go first."""
    if "kind" in values and values["kind"] != section.get("kind"):
        for key in list(section):
            del section[key]
    for key, value in values.items():
        if isinstance(value, MutableMapping) and isinstance(section.get(key), MutableMapping):
            _merge(section[key], value)
        else:
            section[key] = value


def main(name: str) -> None:
    """Fill boxes 1 to 4 of params.yaml from a recipe."""
    read_sections()  # which says what is wrong with the file
    atomic_write(PARAMS_FILE, fill(PARAMS_FILE.read_text(encoding="utf-8"), name).encode())
    print(f"{PARAMS_FILE}: boxes 1 to 4 now hold the recipe {name}; `dvc repro` trains it")


if __name__ == "__main__":
    run(main, name=", ".join(recipe_names()))
