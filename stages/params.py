"""`params.yaml` as frozen, checked values: one section a box.

`python -m stages.params` checks the file and does nothing else; every stage checks it too.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.stage import StageError, run

PARAMS_FILE = Path("params.yaml")
Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
IdxFile = Annotated[str, Field(pattern=r"^(train|t10k)-(images-idx3|labels-idx1)-ubyte\.gz$")]
Share = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """A section of `params.yaml`: unknown keys, wrong types, NaN and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Download(Section):
    """Where the four IDX files come from, and their SHA-256 in hexadecimal."""

    mirrors: Names
    sha256: Annotated[dict[IdxFile, Sha256], Field(min_length=4)]


class Data(Section):
    """Box 1: the classes, and the images held out of the training set for validation."""

    labels: Names
    validation: Annotated[int, Field(gt=0, lt=60_000)]
    split_seed: Seed


class Model(Section):
    """Box 2: the width of the hidden layer."""

    hidden: Annotated[int, Field(gt=0, le=65_536)]


class Objective(Section):
    """Box 3: the optimizer's step."""

    learning_rate: Annotated[float, Field(gt=0, le=10)]


class Train(Section):
    """Box 4: the loop. `seed` draws the first weights and the order of the batches."""

    epochs: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]
    seed: Seed


class Evaluate(Section):
    """Box 5: the bins of the calibration error, and where the reading of the two accuracies turns."""

    calibration_bins: Annotated[int, Field(gt=0, le=1_000)]
    learned_accuracy: Share
    largest_gap: Share


class Gate(Section):
    """The second network that knows what is no digit; `most_refused` is the share of digits that it may cost."""

    pictures: Annotated[int, Field(gt=0)]
    hidden: Annotated[int, Field(gt=0, le=65_536)]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    epochs: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]
    seed: Seed
    most_refused: Share


class Export(Section):
    """The ONNX file: the data set's name in it, and how far its logits may be from PyTorch's."""

    dataset: Annotated[str, Field(min_length=1)]
    tolerance: Annotated[float, Field(gt=0)]


class Params(Section):
    """All of `params.yaml`."""

    download: Download
    data: Data
    model: Model
    objective: Objective
    train: Train
    gate: Gate
    evaluate: Evaluate
    export: Export


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check the file.

    Raises:
        StageError: one line for each key that is unknown, missing or out of range, with its value
            and what is allowed.

    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{path} is missing: run this in the root of the repository"
        raise StageError(msg) from error
    except (YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} is no YAML: {' '.join(str(error).split())}"
        raise StageError(msg) from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise StageError("\n".join(f"{path}: {_explain(detail)}" for detail in error.errors())) from error


def _explain(error: ErrorDetails) -> str:
    """Turn a pydantic error into a sentence with the key, the value and what is allowed."""
    key = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        allowed = _keys_beside(error["loc"])
        near = difflib.get_close_matches(str(error["loc"][-1]), allowed, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return f"unknown key `{key}` (value {error['input']!r}); {hint}allowed here: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"`{key}` is missing"
    return f"`{key}` is {error['input']!r}; {error['msg'].removeprefix('Input ')}"


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Names of the keys allowed where the key at `location` stands."""
    section: Any = Params
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    return list(section.model_fields)


if __name__ == "__main__":
    run(lambda: print(f"{PARAMS_FILE} is sound: {load_params().train}") if load_params() else None)
