"""BentoML as its documentation shows it."""

import bentoml
from session import open_model


@bentoml.service(workers=1)
class Digits:
    """Recognises an image of 784 numbers."""

    def __init__(self) -> None:
        """Load the model."""
        self.model = open_model()

    @bentoml.api
    def predict(self, image: list[int]) -> dict:
        """Recognise an image."""
        return {"predictions": [self.model(image)]}
