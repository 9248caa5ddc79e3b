"""Check all of `params.yaml`, that this machine has what it asks for, and that the model in box 2 can be exported.

    python -m stages.check [DATASET]

With the name of a data set it checks the file with that as `data.dataset`, and writes it there if all is well.
"""

import json
import re
import sys
from pathlib import Path

import torch

from stages import distributed, train
from stages.abstain.calibrate import Calibrate
from stages.abstain.detector import Detector
from stages.config import PARAMS_FILE, load_params, read_sections
from stages.data import Shape
from stages.datasets.listing import list_pictures
from stages.download import Download, check_name
from stages.evaluate import Evaluate
from stages.export import check_exportable
from stages.io import MODEL_FILE, StageError, atomic_write, run
from stages.models.inference import predict
from stages.onnx_graph import first_line
from stages.parity import Export

SHAPE, CLASSES = (1, 28, 28), 10  # MNIST's, taken for all that are not known before the pictures are read
OF_THAT_SHAPE = ("mnist", "fashion_mnist", "kmnist", "uci_digits")


class Params(train.Params):
    """Everything that the stages use: boxes 1 to 4, and these."""

    download: Download
    detector: Detector
    calibrate: Calibrate
    evaluate: Evaluate
    export: Export


def choose(dataset: str) -> str:
    """Return the text of the file with the name of a data set in it, and everything else as it is.

    Raises:
        StageError: the data set is unknown, or the file has no line for it.

    """
    check_name(dataset)
    read_sections()  # which says what is wrong with the file
    text = PARAMS_FILE.read_text(encoding="utf-8")
    text, changed = re.subn(r"(?m)^(  dataset: +)\S+", rf"\g<1>{dataset}", text, count=1)
    if not changed:
        raise StageError(f"{PARAMS_FILE} has no line `  dataset: NAME` to write {dataset} into: write it there by hand")
    return text


def say_what_is_replaced(dataset: str) -> str:
    """Return a line for whoever is about to train on another data set than the model in the package, or nothing."""
    beside = MODEL_FILE.with_suffix(".json")
    try:
        packaged = json.loads(beside.read_text(encoding="utf-8"))["dataset"]
    except (OSError, ValueError, KeyError, TypeError):  # it is missing, or damaged: nothing worth keeping
        return ""
    if packaged != "MNIST" or dataset == "mnist":
        return ""
    return (
        f"\n{MODEL_FILE}, trained on MNIST, will be replaced by the model of {dataset}; "
        "`git checkout . && dvc checkout` restores what was committed"
    )


def check_machine(params: Params) -> None:
    """Raise a StageError where this machine lacks the device, the cores or the folder that the file asks for."""
    distributed.get_device(params.train.device)
    distributed.check_processes(params.train.processes)
    folder = Path(params.download.folder.path)
    if params.data.dataset == "folder":
        list_pictures(folder)
    elif not folder.exists():  # DVC watches it, whatever the data set
        raise StageError(f"{folder} is missing (`download.folder.path`): make an empty folder there")


def expected_shape(params: Params) -> tuple[Shape, bool]:
    """Return the shape of the data set's images as far as params.yaml tells it, and whether that is all of it."""
    if params.data.dataset != "folder":
        return SHAPE, params.data.dataset in OF_THAT_SHAPE
    size, channels = params.download.folder.size, params.download.folder.channels
    return (3 if channels == "rgb" else 1, *(size or SHAPE[1:])), size is not None and channels != "auto"


def check_model(params: Params) -> None:
    """Export the untrained model; where it takes no images of a shape that is only assumed, print a warning.

    Raises:
        StageError: it cannot be exported, or takes no images of a shape that is known.

    """
    shape, known = expected_shape(params)
    try:
        model = params.model.build(shape, CLASSES)
        predict(model, torch.zeros(1, *shape, dtype=torch.uint8))
    except Exception as error:  # whatever the model's own code raises
        failure = f"the model fails on images {[*shape]}: {first_line(error)}"
        if known:
            raise StageError(failure) from error
        print(f"warning: {failure}; those of {params.data.dataset} may have another shape", file=sys.stderr)
    else:
        check_exportable(model, shape, classes=CLASSES)


def main(dataset: str = "") -> None:
    """Check params.yaml: print one line, or one line for each mistake, and what a training will replace."""
    text = choose(dataset) if dataset else None
    params = load_params(Params, text=text)
    check_name(params.data.dataset)
    check_machine(params)
    check_model(params)
    if text:
        atomic_write(PARAMS_FILE, text.encode())
    print(
        f"{PARAMS_FILE} is valid: the model is {params.model.kind}, the data set {params.data.dataset}"
        f"{say_what_is_replaced(params.data.dataset)}"
    )


if __name__ == "__main__":
    run(main, dataset="a data set to write into the file")
