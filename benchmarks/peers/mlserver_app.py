"""MLServer with a runtime of its own, as its documentation shows it: the Open Inference Protocol, JSON."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from session import open_model


class Digits(MLModel):
    """Recognises images."""

    async def load(self) -> bool:
        """Load the model."""
        self.model = open_model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Recognise an image."""
        import numpy as np

        image = NumpyCodec.decode_input(payload.inputs[0])
        probabilities = np.float32([self.model(image)["probabilities"]])
        outputs = [NumpyCodec.encode_output("probabilities", probabilities)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
