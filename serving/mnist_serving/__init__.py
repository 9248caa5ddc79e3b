"""MNIST digits, recognised by one small ONNX model: needs numpy and onnxruntime, never torch."""

__version__ = "0.1.0"
