"""Says which class each picture belongs to, with onnxruntime alone: all else is in the model's metadata.

    python classify.py MODEL PICTURE...

A picture is a binary PGM of the model's size, white ink on black. Exit codes: 0 done, 1 a file could not be read,
2 wrong usage.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import, which would write to the home folder
import onnxruntime


class Model:
    """A model file, and what its metadata say."""

    def __init__(self, path: str) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.labels: list[str] = json.loads(metadata["labels"])
        self.size: list[int] = json.loads(metadata["preprocessing"])["size"]
        self.confidence_threshold: float = json.loads(metadata["confidence_threshold"])

    def classify(self, image: npt.NDArray[np.uint8]) -> str:
        """Return the answer to uint8 [height,width]."""
        probabilities, digit = self.session.run(["probabilities", "digit"], {"image": image[None, None]})
        probability = probabilities.max()
        answer = f"{self.labels[probabilities.argmax()]}  {probability:.4f}"
        sure = digit.item() * probability >= self.confidence_threshold
        return answer if sure else f"not sure, perhaps {answer}"


def read_pgm(path: Path, size: list[int]) -> npt.NDArray[np.uint8]:
    """Return the grey levels, uint8 [height,width], of a binary PGM."""
    content = path.read_bytes()
    header = re.match(rb"P5\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+255\s", content)
    if header is None:
        raise ValueError("no binary PGM with grey levels 0 to 255")
    width, height = map(int, header.groups())
    if [height, width] != size:
        raise ValueError(f"{width}x{height} pixels; the model takes {size[1]}x{size[0]}")
    return np.frombuffer(content, np.uint8, height * width, header.end()).reshape(size)


def main() -> None:
    """Print an answer for each picture."""
    parser = argparse.ArgumentParser(description="Say which class each picture belongs to.")
    parser.add_argument("model", metavar="MODEL", help="an ONNX file with the contract in its metadata")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="a binary PGM, white on black")
    arguments = parser.parse_args()
    try:
        model = Model(arguments.model)
    except Exception as error:  # noqa: BLE001 (onnxruntime's own exceptions have no common base class)
        sys.exit(f"classify.py: {arguments.model} cannot be used: {type(error).__name__}: {error}")
    failed = False
    for path in arguments.pictures:
        try:
            print(f"{path}: {model.classify(read_pgm(path, model.size))}")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"classify.py: {path}: {reason}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
