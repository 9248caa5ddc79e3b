"""Runs the model in one of Python's runtimes: see `benchmarks/runners/__init__.py` for what goes in and out.

    python in_python.py onnxruntime|reference|opencv|openvino MODEL PIXELS ANSWER SIZE...

It imports nothing of this repository, because it runs in the environments of other versions.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

OUTPUTS = ["logits", "probabilities"]
Run = Callable[[Any], Any]  # images uint8 [batch,1,28,28] -> the two outputs


def open_onnxruntime(model: str) -> tuple[str, Run]:
    """Load into onnxruntime, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return onnxruntime.__version__, lambda images: session.run(OUTPUTS, {"image": images})


def open_reference(model: str) -> tuple[str, Run]:
    """Load into the evaluator that comes with ONNX, the specification in numpy."""
    import onnx.reference

    evaluator = onnx.reference.ReferenceEvaluator(model)
    return onnx.__version__, lambda images: evaluator.run(OUTPUTS, {"image": images})


def open_opencv(model: str) -> tuple[str, Run]:
    """Load into OpenCV's module dnn."""
    import cv2

    net = cv2.dnn.readNetFromONNX(model)

    def run(images: Any) -> Any:  # noqa: ANN401 (whatever OpenCV takes for an array)
        net.setInput(images, "image")
        return net.forward([*OUTPUTS, "digit"])[: len(OUTPUTS)]  # OpenCV 5 takes one output or all

    return cv2.__version__, run


def open_openvino(model: str) -> tuple[str, Run]:
    """Load into OpenVINO, which would otherwise compute in 16 bits on processors that can."""
    import openvino

    network = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(images: Any) -> Any:  # noqa: ANN401 (whatever OpenVINO takes for an array)
        answers = network({"image": images})
        return [answers[name] for name in OUTPUTS]

    return openvino.__version__.partition("-")[0], run


OPEN = {
    "onnxruntime": open_onnxruntime,
    "reference": open_reference,
    "opencv": open_opencv,
    "openvino": open_openvino,
}


def main(kind: str, model: str, pixels: str, answer: str, *sizes: str) -> None:
    """Run all images in every batch size and write the answer."""
    version, run = OPEN[kind](model)
    images = np.fromfile(pixels, np.uint8).reshape(-1, 1, 28, 28)
    with Path(answer).open("wb") as file:
        file.write(f"{version}\n".encode())
        for size in map(int, sizes):
            answers = [run(images[start : start + size]) for start in range(0, len(images), size)]
            file.writelines(np.concatenate(output).astype("<f4").tobytes() for output in zip(*answers, strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
