"""The classifier: raw pixels in, labels and probabilities out, from one ONNX file that says what it is."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .metadata import OUTPUTS, Contract, check_description, check_golden, read_contract
from .session import PACKAGED_MODEL, open_session, read_model

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """What the model says of N images, in their order.

    Attributes:
        labels: the class with the largest logit, by name, N of them.
        probabilities: float32 [N,classes], calibrated; rows sum to 1.
        logits: float32 [N,classes], the raw scores.
        abstained: bool [N], true where the model should not be believed: what it saw looks
            like nothing it learned from.

    """

    labels: list[str]
    probabilities: Floats
    logits: Floats
    abstained: npt.NDArray[np.bool_]


class Classifier:
    """Recognises digits; loaded once, it can be shared between threads and used after a fork.

    Args:
        model: an ONNX file with the contract inside; by default the one in the package.
        threads: how many threads one call may use. One is fastest for so small a model, and leaves
            the other cores to others.

    Raises:
        FileError: the file cannot be read.
        ModelError: it is no model, another one, or altered: its inputs, outputs, metadata or
            answers to its golden examples are not as they should be.

    """

    def __init__(self, model: str | Path | None = None, *, threads: int = 1) -> None:
        path = PACKAGED_MODEL if model is None else Path(model)
        content = read_model(path)
        self.checksum = sha256(content).hexdigest()
        check_description(path, self.checksum)
        self._session = open_session(content, name=str(path), threads=threads)
        self.contract: Contract = read_contract(self._session, name=str(path))
        check_golden(self._session, self.contract, name=str(path))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, in the order of the logits."""
        return self.contract.labels

    @property
    def metadata(self) -> dict[str, str]:
        """The file's metadata, as it stands there."""
        return self.contract.metadata

    def predict(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Recognise one image or many.

        Args:
            images: uint8 [28,28], [N,28,28] or [N,1,28,28]; 0 = background (black), 255 = ink (white). Of a model
                of colour pictures [3,H,W] or [N,3,H,W], RGB.

        Raises:
            ValueError: anything else; the text says what came and what is wanted.

        """
        batch = as_batch(images, self.contract.image_shape, centred=self.contract.centred)
        logits, probabilities, digit = self._session.run(OUTPUTS, {"image": batch})
        names = self.contract.labels
        return Prediction(
            labels=[names[place] for place in logits.argmax(axis=1).tolist()],
            probabilities=probabilities,
            logits=logits,
            abstained=digit[:, 0] * probabilities.max(axis=1) < self.contract.confidence_threshold,
        )


def as_batch(images: object, shape: tuple[int, int, int], *, centred: bool) -> npt.NDArray[np.uint8]:
    """Return the images as a contiguous uint8 [N,channels,height,width].

    Raises:
        ValueError: they are not what `Classifier.predict` takes.

    """
    if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.size:
        if images.shape[1:] == shape:
            return np.ascontiguousarray(images)
        if images.shape == shape or (shape[0] == 1 and images.shape[-2:] == shape[1:] and images.ndim in {2, 3}):
            return np.ascontiguousarray(images).reshape(-1, *shape)
    raise ValueError(_what_is_wrong(images, shape, centred=centred))


def _what_is_wrong(images: object, shape: tuple[int, int, int], *, centred: bool) -> str:
    """Say what came and what is wanted."""
    channels, height, width = shape
    grey = f"[{height},{width}], [N,{height},{width}]" if channels == 1 else f"[{channels},{height},{width}]"
    wanted = f"uint8 {grey} or [N,{channels},{height},{width}], N at least 1"
    if not isinstance(images, np.ndarray):
        return f"got {type(images).__name__}, wanted a numpy array, {wanted}: numpy.asarray(images, numpy.uint8)"
    hint = "bring pictures of another size to it by canonicalize" if centred else "resize pictures of another size"
    if images.size == 0:
        hint = "there is no image in it"
    elif images.dtype != np.uint8:
        hint = _how_to_convert(images)
    return f"got {images.dtype} {[*images.shape]}, wanted {wanted}: {hint}"


def _how_to_convert(images: npt.NDArray[np.generic]) -> str:
    """Say how pixels of another type become uint8; nothing is guessed."""
    if images.dtype.kind == "f":
        return (
            "grey levels 0 to 1 convert by (images * 255).round().astype(numpy.uint8), "
            "0 to 255 by images.round().astype(numpy.uint8)"
        )
    if images.dtype.kind in "iu":
        return "if all are 0 to 255, convert by images.astype(numpy.uint8)"
    return "these are no grey levels 0 to 255"
