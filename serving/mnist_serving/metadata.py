"""What a model file promises: its inputs and outputs, its metadata, and examples that prove its answers."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnxruntime

from .errors import ModelError
from .preprocess.canonicalize import SIDE

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

PACKAGE = Path(__file__).parent
OUTPUTS = ("logits", "probabilities", "digit")  # in the order in which the classifier reads them
CHANNELS = {"grey": 1, "rgb": 3}
Verify = Literal["logits", "labels"]  # which of the golden examples' answers have to be right
CLEAR = 1.0  # by how much an example's largest logit leads where its label has to be right
GOLDEN_TOLERANCE = 1e-3  # largest |difference of logits| that rounding in another onnxruntime may make


@dataclass(frozen=True)
class Golden:
    """Made-up images, uint8 [N,channels,height,width], and the logits, float32 [N,classes], that PyTorch gave."""

    images: npt.NDArray[np.uint8]
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Contract:
    """The contract of a model file, read from its metadata and checked against its graph.

    Attributes:
        labels: the classes' names, in the order of the logits.
        image_shape: channels, height, width.
        centred: images are like MNIST's, one digit of 20x20 pixels centred on its centre of mass, white on black, which
            `canonicalize` makes from pictures. For any other model a picture is only made grey or RGB, and resized.
        confidence_threshold: the model abstains where `digit` x the largest probability is below it.
        golden: examples that it must answer.
        metadata: all of the file's metadata, as text.

    """

    labels: tuple[str, ...]
    image_shape: tuple[int, int, int]
    centred: bool
    confidence_threshold: float
    golden: Golden
    metadata: dict[str, str]

    def decoded(self) -> dict[str, object]:
        """Return the metadata, decoded where it is JSON."""
        return {key: _decoded(text) for key, text in self.metadata.items()}


def read_contract(session: onnxruntime.InferenceSession, *, name: str) -> Contract:
    """Read and check the contract of a loaded model.

    Raises:
        ModelError: metadata is missing or not valid, or the graph has other inputs or outputs.

    """
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    try:
        contract = _decode_metadata(metadata)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelError(
            f"{name} is not a model of this package: its metadata lacks an entry, or one is not valid: {error}"
        ) from error
    shape, classes = contract.image_shape, len(contract.labels)
    found = _signature(session)
    wanted = {
        "image": ("tensor(uint8)", shape),
        "logits": ("tensor(float)", (classes,)),
        "probabilities": ("tensor(float)", (classes,)),
        "digit": ("tensor(float)", (1,)),
    }
    if found != wanted:
        raise ModelError(f"{name} is not a model of this package: its inputs and outputs are {found}, not {wanted}")
    if contract.centred and shape != (1, SIDE, SIDE):
        raise ModelError(
            f"{name} is not a model of this package: centred images must be {(1, SIDE, SIDE)}, not {shape}"
        )
    return contract


def locate(path: Path) -> "Traversable":
    """Return a file that can be read, also where it is one of the package's own and that is in a zip application."""
    if PACKAGE not in path.parents or path.exists():
        return path
    from importlib.resources import files  # here, because importing it takes longer than loading the model

    return files(__package__).joinpath(*path.relative_to(PACKAGE).parts)


def check_description(path: Path, checksum: str) -> None:
    """Compare the file's SHA-256 with that in the `.json` beside it, if there is one.

    Raises:
        ModelError: they differ, or the description cannot be read.

    """
    description = locate(path.with_suffix(".json"))
    if not description.is_file():
        return
    try:
        expected = json.loads(description.read_bytes())["sha256"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path.with_suffix('.json')} does not describe a model: download it and {path.name} again"
        ) from error
    if expected != checksum:
        raise ModelError(f"{path} is not the file that {description.name} beside it describes: download both again")


def check_golden(
    session: onnxruntime.InferenceSession, contract: Contract, *, name: str, verify: Verify = "logits"
) -> None:
    """Prove that the model answers its golden examples.

    Raises:
        ModelError: it does not, so its metadata belongs to another model, or its weights were changed.
        ValueError: `verify` is neither "logits" nor "labels".

    """
    if verify not in get_args(Verify):
        raise ValueError(f"verify must be one of {', '.join(get_args(Verify))}, not {verify!r}")
    (logits,) = session.run(["logits"], {"image": contract.golden.images})
    difference = float(np.abs(logits - contract.golden.logits).max())
    second, first = np.sort(contract.golden.logits, axis=1)[:, -2:].T
    same = (logits.argmax(axis=1) == contract.golden.logits.argmax(axis=1)) | (first - second < CLEAR)
    if difference <= GOLDEN_TOLERANCE or (verify == "labels" and same.all()):
        return
    writer = session.get_modelmeta().producer_name or "an unnamed program"
    remedy = "get the original again"
    if verify == "logits" and same.all():
        remedy += ', or, if it was quantized or converted on purpose, load it with Classifier(path, verify="labels")'
    raise ModelError(
        f"{name} was altered after it was made (it names {writer} as its producer): its golden examples are off by "
        f"{difference:.3g}; {remedy}"
    )


def _signature(session: onnxruntime.InferenceSession) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Return the types and shapes of inputs and outputs by name, without the batch."""
    tensors = [*session.get_inputs(), *session.get_outputs()]
    return {tensor.name: (tensor.type, tuple(tensor.shape[1:])) for tensor in tensors}


def _decode_metadata(metadata: dict[str, str]) -> Contract:
    """Return the contract that the metadata describes.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: what the message names is missing or not valid.

    """
    labels = json.loads(metadata["labels"])
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(label, str) for label in labels):  # noqa: PLR2004
        raise ValueError(f"'labels': they must be two names or more, not {labels!r:.60}")
    for share in ("accuracy", "confidence_threshold"):
        if not 0 <= json.loads(metadata[share]) <= 1:
            raise ValueError(f"'{share}': it must be between 0 and 1, not {metadata[share]:.60}")
    if not metadata["dataset"]:
        raise ValueError("'dataset': it must not be empty")
    preprocessing = json.loads(metadata["preprocessing"])
    height, width = preprocessing["size"]
    shape = (CHANNELS[preprocessing["channels"]], int(height), int(width))
    return Contract(
        labels=tuple(labels),
        image_shape=shape,
        centred=bool(preprocessing.get("centred", True)),
        confidence_threshold=float(json.loads(metadata["confidence_threshold"])),
        golden=_decode_golden(json.loads(metadata["golden"]), shape, classes=len(labels)),
        metadata=metadata,
    )


def _decode_golden(examples: dict[str, Any], shape: tuple[int, int, int], *, classes: int) -> Golden:
    """Decode images, base64 of their raw pixels, and logits."""
    pixels = [np.frombuffer(base64.b64decode(text, validate=True), np.uint8) for text in examples["images"]]
    images = np.stack(pixels).reshape(-1, *shape)
    logits = np.array(examples["logits"], dtype=np.float32)
    if logits.shape != (len(images), classes):
        raise ValueError(f"'golden': its logits must be {[len(images), classes]}, not {[*logits.shape]}")
    return Golden(images, logits)


def _decoded(text: str) -> object:
    """Return what a text means as JSON, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
