"""Is all of `params.yaml` sound, with the recipe that it chooses?

    python -m stages.check [DATASET]

With the name of a data set it writes that into the file first, as `data.dataset`.
"""

import re
import sys

from stages.abstain.detector import Detector
from stages.config import PARAMS_FILE, Section, load_params, read_params
from stages.data import Data
from stages.download import Download, check_name
from stages.evaluate import Evaluate
from stages.io import StageError, atomic_write, run
from stages.models import Model
from stages.objective import Objective
from stages.parity import Export
from stages.train import Train


class Params(Section):
    """All that the stages use."""

    download: Download
    data: Data
    model: Model
    objective: Objective
    train: Train
    detector: Detector
    evaluate: Evaluate
    export: Export


def choose(dataset: str) -> None:
    """Write the name of a data set into the file, and leave all else in it as it is.

    Raises:
        StageError: there is no such data set, or no line for it.

    """
    check_name(dataset)
    text = PARAMS_FILE.read_text(encoding="utf-8")
    text, changed = re.subn(r"(?m)^(  dataset: +)\S+", rf"\g<1>{dataset}", text, count=1)
    if not changed:
        msg = f"{PARAMS_FILE} has no line `  dataset: NAME` to write {dataset} into: write it there by hand"
        raise StageError(msg)
    atomic_write(PARAMS_FILE, text.encode())


def main() -> None:
    """Print one line, or a line for each mistake."""
    recipe = read_params()["recipe"]
    if len(sys.argv) > 1:
        choose(sys.argv[1])
    chosen = load_params(Params)
    check_name(chosen.data.dataset)
    print(f"{PARAMS_FILE} is sound: the recipe is {recipe}, the data set {chosen.data.dataset}")


if __name__ == "__main__":
    run(main)
