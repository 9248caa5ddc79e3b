"""`params.yaml` as frozen, checked values: one section a box, and recipes that fill the boxes.

What a box can hold is said by the box itself, a class derived from `Section`; here is only how the file
is read. `python -m stages.check` checks all of it and does nothing else; a stage checks what it uses.
"""

import difflib
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.io import StageError

PARAMS_FILE = Path("params.yaml")
BOXES = ("data", "model", "objective", "train")  # those that a recipe fills
SECTIONS = ("recipe", "recipes", "download", *BOXES, "detector", "evaluate", "export")
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(gt=0, lt=1)]  # a share that leaves something over
Count = Annotated[int, Field(gt=0)]
Width = Annotated[int, Field(gt=0, le=65_536)]  # of a fully connected layer
Rate = Annotated[float, Field(gt=0, le=10)]


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys, wrong types, NaN and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Wanted = TypeVar("Wanted", bound=Section)


def load_params(wanted: type[Wanted], *, recipe: str | None = None, path: Path = PARAMS_FILE) -> Wanted:
    """Read the sections that `wanted` names as its fields, the boxes filled by the recipe.

    Args:
        wanted: a class with a field for each section.
        recipe: another than the one that the file chooses.
        path: the file.

    Raises:
        StageError: one line for each key that is unknown, missing or out of range, with its value
            and what is allowed.

    """
    content = read_params(path)
    recipe = recipe or content["recipe"]
    filled = fill_boxes(content, recipe=recipe)
    try:
        return wanted.model_validate({name: filled[name] for name in wanted.model_fields})
    except ValidationError as error:
        lines = [f"{path}: {_explain(detail, wanted, recipe=recipe)}" for detail in error.errors()]
        raise StageError("\n".join(lines)) from error


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """Read the file as it stands; its sections are those that there are.

    Raises:
        StageError: it is missing, no YAML, lacks a section or has one too many.

    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path} is missing: run this in the root of the repository"
        raise StageError(msg) from error
    except (YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is no YAML: {' '.join(str(error).split())}"
        raise StageError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} should hold the sections {', '.join(SECTIONS)}"
        raise StageError(msg)
    wrong = [f"{path}: {_unknown(name, content[name], SECTIONS)}" for name in content if name not in SECTIONS]
    wrong += [f"{path}: `{name}` is missing" for name in SECTIONS if name not in content]
    if wrong:
        raise StageError("\n".join(wrong))
    return content


def fill_boxes(content: dict[str, Any], *, recipe: str | None = None) -> dict[str, Any]:
    """Return the sections with the boxes filled: by the recipe, and before it by what stands in a box itself.

    Raises:
        StageError: there is no such recipe, it has no model, or it fills something that is no box.

    """
    name, recipes = recipe or content["recipe"], content["recipes"]
    if not isinstance(recipes, dict) or name not in recipes:
        known = ", ".join(recipes) if isinstance(recipes, dict) else "none"
        msg = f"{PARAMS_FILE}: `recipe` is {name!r}; recipes here: {known}"
        raise StageError(msg)
    filling = _check_recipe(name, recipes[name])
    return content | {box: _merge(filling.get(box), content[box]) for box in BOXES}


def _check_recipe(name: str, filling: object) -> dict[str, Any]:
    """Return what a recipe fills, once it is boxes and nothing else; a StageError says what is wrong."""
    if not isinstance(filling, dict):
        msg = f"{PARAMS_FILE}: `recipes.{name}` is {filling!r}; a recipe fills boxes: {', '.join(BOXES)}"
        raise StageError(msg)
    for box, content in filling.items():
        if box not in BOXES:
            msg = f"{PARAMS_FILE}: {_unknown(f'recipes.{name}.{box}', content, BOXES)}"
            raise StageError(msg)
        if not isinstance(content, dict):
            msg = f"{PARAMS_FILE}: `recipes.{name}.{box}` is {content!r}; should be the keys of the box `{box}`"
            raise StageError(msg)
    if "model" not in filling:
        msg = f"{PARAMS_FILE}: `recipes.{name}.model` is missing: a recipe says at least of which kind its model is"
        raise StageError(msg)
    return filling


def _merge(below: object, above: object) -> object:
    """Lay one value over another: mappings of one kind key by key, anything else replaces what is below."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return below if above is None else above
    if "kind" in above and above["kind"] != below.get("kind"):
        return above  # the other kind's keys mean nothing to it
    return below | {key: _merge(below.get(key), value) for key, value in above.items()}


def _explain(error: ErrorDetails, wanted: type[Section], *, recipe: object) -> str:
    """Turn a pydantic error into a sentence with the key, the value, what is allowed, and what filled the box."""
    filled = f" (the recipe `{recipe}` fills this box)" if error["loc"] and error["loc"][0] in BOXES else ""
    return _complain(error, wanted) + filled


def _complain(error: ErrorDetails, wanted: type[Section]) -> str:
    key, allowed = _locate(error["loc"], wanted)
    if error["type"] == "extra_forbidden":
        return _unknown(key, error["input"], allowed)
    if error["type"] == "missing":
        return f"`{key}` is missing"
    return f"`{key}` is {error['input']!r}; {error['msg'].removeprefix('Input ').removeprefix('Value error, ')}"


def _unknown(key: str, value: object, allowed: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(key.rpartition(".")[2], allowed, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return f"unknown key `{key}` (value {value!r}); {hint}allowed here: {', '.join(allowed)}"


def _locate(location: tuple[int | str, ...], wanted: type[Section]) -> tuple[str, list[str]]:
    """Return a key as it stands in the file, and the keys allowed beside it."""
    names, section, allowed = [], wanted, list(wanted.model_fields)
    for part in location:
        members = [member for member in get_args(section) if member is not NoneType]
        tagged = [member for member in members if part in get_args(_kind(member))]
        if tagged:  # a member of a union is in pydantic's location, but not in the file
            section = tagged[0]
            continue
        names.append(str(part))
        section = members[0] if len(members) == 1 else section
        if isinstance(section, type) and issubclass(section, Section):
            allowed = list(section.model_fields)
            field = section.model_fields.get(str(part))
            section = field.annotation if field else None  # type: ignore[assignment]
    return ".".join(names), allowed


def _kind(member: object) -> object:
    """Return the type of a section's `kind`, `Literal["mlp"]` for one."""
    fields = getattr(member, "model_fields", {})
    return fields["kind"].annotation if "kind" in fields else None
