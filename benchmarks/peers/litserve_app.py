"""LitServe as its documentation shows it."""

import os

import litserve
from session import open_model


class Digits(litserve.LitAPI):
    """Recognises an image of 784 numbers."""

    def setup(self, device):  # noqa: ARG002 (LitServe names it)
        """Load the model."""
        self.model = open_model()

    def decode_request(self, request):
        """Take the pixels."""
        return request["image"]

    def predict(self, pixels):
        """Recognise them."""
        return self.model(pixels)

    def encode_response(self, output):
        """Give the reply."""
        return {"predictions": [output]}


if __name__ == "__main__":
    server = litserve.LitServer(Digits(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="error")
