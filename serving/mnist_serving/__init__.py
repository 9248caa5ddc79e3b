"""MNIST digits, recognised by one small ONNX model: needs numpy and onnxruntime, never torch.

from mnist_serving import Classifier
prediction = Classifier().predict(images)   # uint8 [28,28], [N,28,28] or [N,1,28,28]
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported, which reads it then

from .classifier import Classifier, Number, Prediction
from .errors import FileError, MnistServingError, ModelError
from .preprocess.canonicalize import canonicalize

__all__ = ["Classifier", "FileError", "MnistServingError", "ModelError", "Number", "Prediction", "canonicalize"]
__version__ = "0.1.0"
