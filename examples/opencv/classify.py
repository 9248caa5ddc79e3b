"""Says which class each picture belongs to, with OpenCV alone.

    python classify.py MODEL PICTURE...

OpenCV cannot read a model's metadata: model.json beside model.onnx says the same. A picture is any file that OpenCV
reads, of the model's size, white ink on black. Exit codes: 0 done, 1 a file could not be read, 2 wrong usage.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]  # [height,width]


class Model:
    """A model file, and what the description beside it says."""

    def __init__(self, path: Path) -> None:
        description = json.loads(path.with_suffix(".json").read_bytes())
        self.labels: list[str] = description["labels"]
        self.size: list[int] = description["preprocessing"]["size"]
        self.confidence_threshold: float = description["confidence_threshold"]
        self.net = cv2.dnn.readNetFromONNX(str(path))

    def classify(self, grey: Grey) -> str:
        """Return the answer to a picture."""
        self.net.setInput(cv2.dnn.blobFromImage(grey, ddepth=cv2.CV_8U), "image")
        probabilities = self.net.forward("probabilities")
        probability = probabilities.max()
        answer = f"{self.labels[probabilities.argmax()]}  {probability:.4f}"
        sure = self.net.forward("digit").item() * probability >= self.confidence_threshold
        return answer if sure else f"not sure, perhaps {answer}"


def read_grey(path: Path, size: list[int]) -> Grey:
    """Return the grey levels of a picture."""
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError("the file does not exist, or OpenCV cannot read it")
    height, width = grey.shape
    if [height, width] != size:
        raise ValueError(f"{width}x{height} pixels; the model takes {size[1]}x{size[0]}")
    return np.asarray(grey, np.uint8)


def main() -> None:
    """Print an answer for each picture."""
    parser = argparse.ArgumentParser(description="Say which class each picture belongs to.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="an ONNX file, its description beside it")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="white on black")
    arguments = parser.parse_args()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is wrong is said below
    try:
        model = Model(arguments.model)
    except (OSError, ValueError, KeyError, cv2.error) as error:
        reason = error.err if isinstance(error, cv2.error) else f"{type(error).__name__}: {error}"
        sys.exit(f"classify.py: {arguments.model} and its .json cannot be used: {reason}")
    failed = False
    for path in arguments.pictures:
        try:
            print(f"{path}: {model.classify(read_grey(path, model.size))}")
        except ValueError as error:
            print(f"classify.py: {path}: {error}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
