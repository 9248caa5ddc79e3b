"""How far a model's answers can be trusted: what the stage `calibrate` fitted, and the confidence that follows."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from stages.config import Section, load_json
from stages.io import CALIBRATION_FILE


class Calibration(Section):
    """Logits are divided by `temperature` before the softmax; below `confidence_threshold` the model abstains."""

    temperature: Annotated[float, Field(gt=0)]
    confidence_threshold: Annotated[float, Field(ge=0, le=1)]


def load_calibration() -> Calibration:
    """Read what the stage `calibrate` wrote.

    Raises:
        StageError: the file is missing or damaged.

    """
    return load_json(CALIBRATION_FILE, Calibration)


def confidence(logits: Tensor, detector_logits: Tensor, *, temperature: float) -> Tensor:
    """Return the probability that each prediction is right: float [N,classes] and [N,1] -> [N]."""
    return detector_logits.sigmoid()[:, 0] * (logits / temperature).softmax(dim=1).amax(dim=1)
