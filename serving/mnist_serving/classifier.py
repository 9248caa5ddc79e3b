"""Temporary: the classifier's interface, as plain as it can be."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import ModelError
from .session import open_session

PACKAGED_MODEL = Path(__file__).with_name("model.onnx")


@dataclass(frozen=True)
class Prediction:
    """What the model says of N images: labels [N], probabilities and logits float32 [N,10], abstained bool [N]."""

    labels: list[str]
    probabilities: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    abstained: npt.NDArray[np.bool_]


class Classifier:
    """The model in the wheel, or another file of the same contract."""

    def __init__(self, path: str | Path | None = None) -> None:
        """Load the model.

        Raises:
            ModelError: the file is missing, foreign or damaged.

        """
        model = Path(path) if path is not None else PACKAGED_MODEL
        self._session = open_session(model)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        if "labels" not in self.metadata:
            msg = f"{model} carries no labels"
            raise ModelError(msg)
        self.labels: tuple[str, ...] = tuple(json.loads(self.metadata["labels"]))
        self.checksum = hashlib.sha256(model.read_bytes()).hexdigest()

    def predict(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Recognise images, uint8 [28,28], [N,28,28] or [N,1,28,28]."""
        logits, probabilities = self._session.run(None, {"image": images.reshape(-1, 1, 28, 28)})
        labels = [self.labels[i] for i in probabilities.argmax(axis=1)]
        return Prediction(labels, probabilities, logits, probabilities.max(axis=1) < 1 / 2)
