"""Writes a model repository for Triton Inference Server, from the packaged model and what `model.json` says of it.

    python deploy/triton/repository.py FOLDER [--backend onnxruntime|python]

The ONNX Runtime backend runs `model.onnx` itself. The Python backend runs `model.py` with the package beside it, on the
numpy and onnxruntime that its Python has: for servers without the other backend, and for the checks at loading.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "serving/mnist_serving"
TYPES = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}
NAME, VERSION = "mnist", "1"  # those of the service, so that clients need no change
MOST = 1024  # images in a run of the model, as the service's --max-images


def describe(tensor: dict[str, Any], labels: int) -> str:
    """Return an input or output as a configuration has it; outputs of one value a class carry the labels."""
    _, *shape = tensor["shape"]  # the first is the batch
    lines = [f'name: "{tensor["name"]}"', f"data_type: {TYPES[tensor['type']]}", f"dims: {shape}"]
    if shape == [labels]:
        lines.append('label_filename: "labels.txt"')
    return "{ " + ", ".join(lines) + " }"


def configuration(model: dict[str, Any], backend: str) -> str:
    """Return the text of `config.pbtxt`."""
    inputs, outputs = (
        ",\n  ".join(describe(tensor, len(model["labels"])) for tensor in model[side]) for side in ("inputs", "outputs")
    )
    return f"""name: "{NAME}"
backend: "{backend}"
max_batch_size: {MOST}
input [
  {inputs}
]
output [
  {outputs}
]
# Requests that wait share a run; none waits for others to come.
dynamic_batching {{ }}
# One thread an instance: threads within so small a network cost more than they gain. More instances use more cores.
instance_group [ {{ kind: KIND_CPU, count: 1 }} ]
parameters {{ key: "intra_op_thread_count", value: {{ string_value: "1" }} }}
parameters {{ key: "inter_op_thread_count", value: {{ string_value: "1" }} }}
"""


def write(folder: Path, backend: str) -> Path:
    """Write the repository into a folder; return the model's folder in it."""
    model = json.loads((PACKAGE / "model.json").read_text(encoding="utf-8"))
    place = folder / NAME
    (place / VERSION).mkdir(parents=True, exist_ok=True)
    (place / "config.pbtxt").write_text(configuration(model, backend), encoding="utf-8")
    (place / "labels.txt").write_text("".join(f"{label}\n" for label in model["labels"]), encoding="utf-8")
    shutil.copy(PACKAGE / "model.onnx", place / VERSION)
    if backend == "python":
        shutil.copy(Path(__file__).with_name("model.py"), place / VERSION)
        left_out = shutil.ignore_patterns("__pycache__", "http", "model.*")
        shutil.copytree(PACKAGE, place / VERSION / PACKAGE.name, ignore=left_out, dirs_exist_ok=True)
    return place


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description="Write a model repository for Triton.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--backend", choices=("onnxruntime", "python"), default="onnxruntime")
    arguments = parser.parse_args()
    try:
        print(write(arguments.folder, arguments.backend))
    except OSError as error:
        sys.exit(f"repository.py: {arguments.folder} cannot be written to: {error.strerror or error}")


if __name__ == "__main__":
    main()
