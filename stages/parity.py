"""Stage `parity`: proof that the ONNX file gives the logits that PyTorch gave, for every test image.

The comparison is the package's own command, `mnist-serving parity`; here are only its files and its tolerance.
"""

from typing import Annotated

from mnist_serving.errors import MnistServingError
from mnist_serving.parity import check_parity
from pydantic import Field

from stages.config import Section, load_params
from stages.io import LOGITS_FILE, MODEL_FILE, REPORTS, TEST_FILE, StageError, run


class Export(Section):
    """The ONNX file: how far its logits may be from PyTorch's."""

    tolerance: Annotated[float, Field(gt=0, le=1)]


class Params(Section):
    """What the stage uses."""

    export: Export


def main() -> None:
    """Write `reports/parity.json`.

    Raises:
        StageError: a file is missing or damaged, or the logits differ.

    """
    tolerance = load_params(Params).export.tolerance
    report = REPORTS / "parity.json"
    try:
        parity = check_parity(MODEL_FILE, images=TEST_FILE, logits=LOGITS_FILE, tolerance=tolerance, report=report)
    except MnistServingError as error:
        raise StageError(str(error)) from error
    print(parity.summary())
    if not parity.passed:
        raise StageError(parity.differences())


if __name__ == "__main__":
    run(main)
