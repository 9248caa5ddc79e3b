"""The model for Triton's Python backend: `Classifier`, over all requests that wait. Triton imports it."""

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton
from mnist_serving import Classifier


class TritonPythonModel:
    """What Triton calls; the name is its."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model of this version; a file that does not answer its golden examples is refused."""
        file = Path(args["model_repository"], args["model_version"], "model.onnx")
        self._classifier = Classifier(file)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer requests together."""
        images = [triton.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        prediction = self._classifier.predict(np.concatenate(images))
        ends = np.cumsum([len(each) for each in images])[:-1]
        parts = {name: np.split(getattr(prediction, name), ends) for name in ("logits", "probabilities")}
        parts["digit"] = np.split(prediction.digit.reshape(-1, 1), ends)
        return [
            triton.InferenceResponse(
                output_tensors=[triton.Tensor(name, tensors[number]) for name, tensors in parts.items()]
            )
            for number in range(len(requests))
        ]
