"""Runs the model in one of Python's runtimes: see `benchmarks/runners/__init__.py` for what goes in and out.

    python in_python.py KIND MODEL PIXELS ANSWER SIZE...

KIND is a key of `OPEN`. It imports nothing of this repository, because it runs in the environments of other versions.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
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


def open_tract(model: str) -> tuple[str, Run]:
    """Load into tract, which gives the outputs in the graph's order."""
    import tract

    network = tract.onnx().load(model).into_model().into_runnable()
    return version("tract"), lambda images: [output.to_numpy() for output in network.run([images])[: len(OUTPUTS)]]


def open_tvm(model: str) -> tuple[str, Run]:
    """Compile with TVM, for the processor that it runs on."""
    import onnx
    import tvm
    from tvm.relax.frontend.onnx import from_onnx

    network = tvm.relax.VirtualMachine(tvm.compile(from_onnx(onnx.load(model)), "llvm"), tvm.cpu())["main"]
    return tvm.__version__, lambda images: [
        output.numpy() for output in network(tvm.runtime.tensor(images))[: len(OUTPUTS)]
    ]


def open_iree(model: str) -> tuple[str, Run]:
    """Compile with IREE, for the processor that it runs on."""
    import iree.runtime

    tools = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        imported, compiled = f"{folder}/model.mlir", f"{folder}/model.vmfb"
        call(f"{tools}/iree-import-onnx", model, "--opset-version", "17", "-o", imported)
        target = ("--iree-hal-target-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host")
        call(f"{tools}/iree-compile", imported, *target, "-o", compiled)
        network = iree.runtime.load_vm_flatbuffer(Path(compiled).read_bytes(), driver="local-task")
    return version("iree-base-runtime"), lambda images: map(np.asarray, network.mnist(images)[: len(OUTPUTS)])


def open_mnn(model: str) -> tuple[str, Run]:
    """Convert for MNN, and load it; not with `mnnconvert`, which also installs a package and reports to its maker."""
    import MNN

    with tempfile.TemporaryDirectory() as folder:
        arguments = ["", "-f", "ONNX", "--modelFile", model, "--MNNModel", f"{folder}/model.mnn", "--bizCode", "mnist"]
        call(sys.executable, "-c", f"import _tools; _tools.mnnconvert({arguments})")
        network = MNN.nn.load_module_from_file(f"{folder}/model.mnn", ["image"], OUTPUTS)

    def run(images: Any) -> Any:  # noqa: ANN401 (whatever MNN takes for an array)
        image = MNN.expr.const(images, [*images.shape], MNN.expr.NCHW, MNN.expr.uint8)
        return [np.array(output.read()) for output in network.forward([image])]

    return version("mnn"), run


def call(*command: str) -> None:
    """Run a converter; what it says is shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}")


OPEN = {
    "onnxruntime": open_onnxruntime,
    "reference": open_reference,
    "opencv": open_opencv,
    "openvino": open_openvino,
    "tract": open_tract,
    "tvm": open_tvm,
    "iree": open_iree,
    "mnn": open_mnn,
}


def main(kind: str, model: str, pixels: str, answer: str, *sizes: str) -> None:
    """Run all images in every batch size and write the answer."""
    name, run = OPEN[kind](model)
    images = np.fromfile(pixels, np.uint8).reshape(-1, 1, 28, 28)
    with Path(answer).open("wb") as file:
        file.write(f"{name}\n".encode())
        for size in map(int, sizes):
            answers = [run(images[start : start + size]) for start in range(0, len(images), size)]
            file.writelines(np.concatenate(output).astype("<f4").tobytes() for output in zip(*answers, strict=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
