"""How far a model's answers can be trusted: what the stage `calibrate` fitted, and the confidence that follows."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from torch import Tensor

from stages.config import Section
from stages.io import CALIBRATION_FILE, StageError


class Calibration(Section):
    """Logits are divided by `temperature` before the softmax; below `confidence_threshold` the model abstains."""

    temperature: Annotated[float, Field(gt=0)]
    confidence_threshold: Annotated[float, Field(ge=0, le=1)]


def load_calibration(path: Path = CALIBRATION_FILE) -> Calibration:
    """Read the file that the stage writes.

    Raises:
        StageError: the file is missing or damaged.

    """
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise StageError(
            f"{path} is missing or damaged ({' '.join(str(error).split())}): delete it and run `dvc repro`"
        ) from error


def confidence(logits: Tensor, detector_logits: Tensor, *, temperature: float) -> Tensor:
    """Return the probability that each prediction is right: float [N,classes] and [N,1] -> [N]."""
    return detector_logits.sigmoid()[:, 0] * (logits / temperature).softmax(dim=1).amax(dim=1)
