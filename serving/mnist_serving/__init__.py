"""MNIST digits, recognised by one small ONNX model: needs numpy and onnxruntime, never torch.

from mnist_serving import Classifier
prediction = Classifier().predict(images)   # uint8 [28,28], [N,28,28] or [N,1,28,28]
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .classifier import Classifier, Number, Prediction
    from .errors import FileError, MnistServingError, ModelError
    from .preprocess.canonicalize import canonicalize

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported, which reads it then

__all__ = ["Classifier", "FileError", "MnistServingError", "ModelError", "Number", "Prediction", "canonicalize"]
__version__ = "0.1.0"

MAX_PIXELS = 65_000_000  # width times height of a picture file: the largest of a phone

_MODULES = {
    "Classifier": "classifier",
    "Number": "classifier",
    "Prediction": "classifier",
    "canonicalize": "preprocess.canonicalize",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is: whoever only decodes pictures does not load onnxruntime."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
