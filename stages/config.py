"""`params.yaml` as frozen, checked values: one section per box, every key in the file.

What a box can hold is defined by the box itself, a class derived from `Section`; this module only reads the file.
`python -m stages.check` checks all of it and does nothing else; a stage checks the sections that it uses.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.io import StageError

PARAMS_FILE = Path("params.yaml")
BOXES = ("data", "model", "objective", "train")  # those that a recipe fills
SECTIONS = ("download", *BOXES, "detector", "calibrate", "evaluate", "export")
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(gt=0, lt=1)]  # a share that leaves a rest
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Pictures = Annotated[int, Field(ge=0, le=100_000)]  # to draw, which are all kept in memory
Width = Annotated[int, Field(gt=0, le=65_536)]  # of a fully connected layer
Rate = Annotated[float, Field(gt=0, le=10)]


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys, wrong types, NaN and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Wanted = TypeVar("Wanted", bound=Section)


def load_params(wanted: type[Wanted], *, text: str | None = None) -> Wanted:
    """Read the sections that `wanted` names as its fields.

    Args:
        wanted: a class with a field for each section.
        text: the content to read instead of the file's.

    Raises:
        StageError: one line for each key that is unknown, missing or out of range, with its value and what is allowed.

    """
    content = read_sections(text)
    try:
        return wanted.model_validate({name: content[name] for name in wanted.model_fields})
    except ValidationError as error:
        lines = [f"{PARAMS_FILE}: {_explain(detail, wanted)}" for detail in _causes(error.errors())]
        raise StageError("\n".join(lines)) from error


def load_json(path: Path, wanted: type[Wanted]) -> Wanted:
    """Read what another stage wrote.

    Raises:
        StageError: the file is missing, damaged, or holds anything else.

    """
    try:
        return wanted.model_validate_json(path.read_bytes(), strict=False)
    except FileNotFoundError as error:
        raise StageError(f"{path} is missing: run `dvc repro`") from error
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise StageError(f"{path} is damaged ({reason}): delete it and run `dvc repro`") from error


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a list is too short where that is only because pydantic dropped a wrong entry of it."""
    wrong = {error["loc"][:-1] for error in errors}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in wrong]


def read_sections(text: str | None = None) -> dict[str, Any]:
    """Return the sections of the file, or of `text`, by name.

    Raises:
        StageError: the file is missing, is not YAML, lacks a section or has an unknown one.

    """
    content = read_mapping(PARAMS_FILE, SECTIONS, text=text)
    wrong = [
        f"{PARAMS_FILE}: {_unknown(str(name), content[name], SECTIONS)}" for name in content if name not in SECTIONS
    ]
    missing = (name for name in SECTIONS if name not in content)
    wrong += [f"{PARAMS_FILE}: section `{name}` is missing: write it, as in the committed file" for name in missing]
    if wrong:
        raise StageError("\n".join(wrong))
    return content


def read_mapping(path: Path, sections: Iterable[str], *, text: str | None = None) -> dict[Any, Any]:
    """Return what a YAML file, or `text`, holds below its sections.

    Raises:
        StageError: the file is missing, is not YAML or has no sections.

    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8") if text is None else text)
    except FileNotFoundError as error:
        raise StageError(f"{path} is missing: run this in the root of the repository") from error
    except MarkedYAMLError as error:
        raise StageError(f"{path} is not valid YAML, line {error.problem_mark.line + 1}: {error.problem}") from error
    except (YAMLError, ValueError) as error:  # such as text that is not UTF-8, or 2001-99-99
        raise StageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise StageError(f"{path} must hold the sections {', '.join(sections)}")
    return content


def _explain(error: ErrorDetails, wanted: type[Section]) -> str:
    """Turn a pydantic error into a sentence with the key, its value and what is allowed."""
    key, allowed, annotation = _locate(error["loc"], wanted)
    if error["type"] == "extra_forbidden":
        return _unknown(key, error["input"], allowed)
    if error["type"] == "missing" and not isinstance(error["loc"][-1], str):
        return f"`{key.rpartition('.')[0]}` has too few entries"
    if error["type"] == "missing":
        return f"`{key}` is missing: write it, as in recipes/ or in the committed {PARAMS_FILE}"
    context = error.get("ctx", {})
    if error["type"] == "union_tag_invalid":
        return f"`{key}.kind` is {context['tag']!r}; allowed: {context['expected_tags']}"
    if error["type"] == "union_tag_not_found":
        return f"`{key}.kind` is missing: write it, as in recipes/ or in the committed {PARAMS_FILE}"
    template = ALLOWED.get(error["type"])
    sentence = template.format_map(context) if template else error["msg"].removeprefix("Value error, ")
    value = "empty" if error["input"] is None else repr(error["input"])
    return f"`{key}` is {value}; {sentence}{', or null' if NoneType in get_args(annotation) else ''}"


# What is allowed, by pydantic's name of the error.
ALLOWED = {
    "finite_number": "write a finite number",
    "float_type": "write a number",
    "greater_than": "it must be greater than {gt}",
    "greater_than_equal": "it must be {ge} or more",
    "int_from_float": "write a whole number",
    "int_type": "write a whole number",
    "less_than": "it must be less than {lt}",
    "less_than_equal": "it must be {le} or less",
    "literal_error": "allowed: {expected}",
    "model_attributes_type": "write keys and values below it",
    "model_type": "write keys and values below it",
    "dict_type": "write keys and values below it",
    "string_pattern_mismatch": "it must match {pattern}",
    "string_too_short": "write text",
    "string_type": "write text",
    "too_long": "it must have {max_length} entries at most",
    "too_short": "it must have {min_length} or more entries",
    "tuple_type": "write a list, such as [256] or [a, b]",
}


def _unknown(key: str, value: object, allowed: Iterable[str]) -> str:
    hint = suggest(key.rpartition(".")[2], allowed) or "remove it; "
    return f"unknown key `{key}` (value {value!r}): {hint}allowed here: {', '.join(allowed)}"


def suggest(name: str, allowed: Iterable[str]) -> str:
    """Return a question that asks for the allowed name that is most like an unknown one, or nothing."""
    near = difflib.get_close_matches(name, allowed, n=1)
    return f"did you mean `{near[0]}`? " if near else ""


def _locate(location: tuple[int | str, ...], wanted: type[Section]) -> tuple[str, list[str], object]:
    """Return a key as the file has it, the keys allowed beside it, and its type."""
    names, section, allowed = [], wanted, list(wanted.model_fields)
    for part in location:
        members = [member for member in get_args(section) if member is not NoneType] or [section]
        tagged = [member for member in members if part in get_args(_kind(member))]
        if tagged or part == "[key]":  # both are in pydantic's location, but not in the file
            section = tagged[0] if tagged else section
            continue
        names.append(str(part))
        section = members[0] if len(members) == 1 else section
        if isinstance(section, type) and issubclass(section, Section):
            allowed = list(section.model_fields)
            field = section.model_fields.get(str(part))
            section = field.annotation if field else None  # type: ignore[assignment]
    return ".".join(names), allowed, section


def _kind(member: object) -> object:
    """Return the type of a section's `kind`, `Literal["mlp"]` for one."""
    fields = getattr(member, "model_fields", {})
    return fields["kind"].annotation if "kind" in fields else None
