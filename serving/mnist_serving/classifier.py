"""The classifier: raw pixels in, labels and probabilities out, from one ONNX file that describes itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from .errors import FileError, ModelError
from .metadata import OUTPUTS, PACKAGE, Contract, Verify, check_description, check_golden, locate, read_contract
from .preprocess.number import Candidate, Place, best_rows, canonicalize_number

PACKAGED_MODEL = PACKAGE / "model.onnx"
LARGEST_FILE = 256 * 1024**2  # bytes
AT_ONCE = 1_000  # images in a run of the model; more are not faster, and take memory for what is between the layers

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """What the model says of N images, in their order.

    Attributes:
        labels: N names, each of the class with the largest logit.
        probabilities: float32 [N,classes], calibrated; rows sum to 1.
        logits: float32 [N,classes], the raw scores.
        digit: float32 [N], the probability that the image is one of the classes at all.
        abstained: bool [N], true where the label should not be trusted: `digit` times its probability is too low.
        names: of all classes, in the order of the columns.

    """

    labels: list[str]
    probabilities: Floats
    logits: Floats
    digit: Floats
    abstained: npt.NDArray[np.bool_]
    names: tuple[str, ...]

    def probability(self, row: int) -> np.float32:
        """Return how probable the label of an image is."""
        probability: np.float32 = self.probabilities[row, self.names.index(self.labels[row])]
        return probability

    def taken(self, rows: Sequence[int]) -> "Prediction":
        """Return the prediction for some of the images."""
        rows = [*rows]
        return Prediction(
            [self.labels[row] for row in rows],
            self.probabilities[rows],
            self.logits[rows],
            self.digit[rows],
            self.abstained[rows],
            self.names,
        )

    def reason(self, row: int) -> str:
        """Return why the model abstains from an image: "no digit", or two candidates such as "1 or 7".

        It is "no digit" where `digit` is lower than the label's probability, "none of its labels" where these are not
        digits. The text is empty where it answers.
        """
        if not self.abstained[row]:
            return ""
        if self.digit[row] < self.probability(row):
            return "no digit" if all(map(str.isdigit, self.names)) else "none of its labels"
        second, first = self.probabilities[row].argsort()[-2:]
        return f"{self.names[first]} or {self.names[second]}"


@dataclass(frozen=True)
class Number:
    """Digits in a row.

    Attributes:
        digits: the prediction for each, from left to right.
        images: uint8 [N,28,28], each digit as the model saw it.
        places: where each is in the picture.

    """

    digits: Prediction
    images: npt.NDArray[np.uint8]
    places: list[Place]

    @property
    def text(self) -> str:
        """The number, such as "1984", or the guess at it; a number may begin with zeros."""
        return "".join(self.digits.labels)

    @property
    def probability(self) -> float:
        """The product of the probabilities of all digits."""
        return float(self.digits.probabilities.max(axis=1).prod())

    @property
    def abstained(self) -> bool:
        """Whether the number should not be trusted: it is so where one of its digits should not."""
        return bool(self.digits.abstained.any())

    @property
    def reason(self) -> str:
        """Why the model abstains, such as "figure 2 of 4: 1 or 7"; empty where it answers."""
        if not self.abstained:
            return ""
        first = int(self.digits.abstained.argmax())
        why = self.digits.reason(first).replace("no digit", "no digit, or digits that touch")
        return f"figure {first + 1} of {len(self.places)}: {why}"


class Classifier:
    """Recognises digits; loaded once, it can be shared between threads, used after a fork, and pickled.

    A pickle holds the path, not the model: the process that loads it reads and checks the file again.

    Args:
        model: an ONNX file with the contract inside; by default the one in the package.
        threads: how many threads a call may use. One is fastest for so small a model, and leaves the other cores to
            others.
        verify: `logits` accepts only the file as it was exported; its checksum is that of the `.json` beside it, and
            the logits of its golden examples are right to 0.001. `labels` is for a file that was quantized or
            converted on purpose; only the labels of the golden examples have to be right, where they are clear.

    Raises:
        FileError: the file cannot be read.
        ModelError: it is not a model of this package, or has been altered: its inputs, outputs, metadata or answers
            to its golden examples are not as they should be.

    """

    def __init__(self, model: str | Path | None = None, *, threads: int = 1, verify: Verify = "logits") -> None:
        path = PACKAGED_MODEL if model is None else Path(model)
        self._again = partial(Classifier, path.absolute(), threads=threads, verify=verify)
        content = read_model(path)
        self.checksum = sha256(content).hexdigest()
        if verify == "logits":
            check_description(path, self.checksum)
        self._session = open_session(content, name=str(path), threads=threads)
        self.contract: Contract = read_contract(self._session, name=str(path))
        check_golden(self._session, self.contract, name=str(path), verify=verify)

    def __reduce__(self) -> tuple[Callable[[], "Classifier"], tuple[()]]:
        """Return what loads the same model in the same way."""
        return self._again, ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes' names, in the order of the logits."""
        return self.contract.labels

    @property
    def metadata(self) -> dict[str, str]:
        """The file's metadata, as text."""
        return self.contract.metadata

    def predict(self, images: npt.NDArray[np.uint8]) -> Prediction:
        """Recognise one image or many.

        Args:
            images: uint8 [28,28], [N,28,28] or [N,1,28,28]; 0 = background (black), 255 = ink (white). For a model
                of colour images [3,H,W] or [N,3,H,W], RGB.

        Raises:
            ValueError: they are anything else; the message says what they are and what is allowed.

        """
        batch = as_batch(images, self.contract.image_shape, centred=self.contract.centred)
        pieces = [batch[start : start + AT_ONCE] for start in range(0, len(batch), AT_ONCE)]
        runs = [self._session.run(OUTPUTS, {"image": piece}) for piece in pieces]
        logits, probabilities, digit = map(np.concatenate, zip(*runs, strict=True)) if len(runs) > 1 else runs[0]
        names = self.contract.labels
        return Prediction(
            labels=[names[place] for place in logits.argmax(axis=1).tolist()],
            probabilities=probabilities,
            logits=logits,
            digit=digit[:, 0],
            abstained=digit[:, 0] * probabilities.max(axis=1) < self.contract.confidence_threshold,
            names=names,
        )

    def read_number(self, grey: npt.NDArray[np.uint8]) -> Number:
        """Read the digits of a picture of one number, in one row.

        Args:
            grey: uint8 [height,width], ink darker or lighter than the page.

        Raises:
            PictureError: it does not show one number, see `canonicalize_number`. A `ValueError`.

        """
        images, candidates = canonicalize_number(grey)
        return number_of(self.predict(images), images, candidates)


def number_of(prediction: Prediction, images: npt.NDArray[np.uint8], candidates: list[Candidate]) -> Number:
    """Return the number, of what `canonicalize_number` returns and what a model says of each of its images."""
    rows = best_rows(candidates, prediction.digit * prediction.probabilities.max(axis=1))
    return Number(prediction.taken(rows), images[rows], [candidates[row].place for row in rows])


def read_model(path: Path) -> bytes:
    """Return a model file's content; a file far larger than any such model is not read.

    Raises:
        FileError: it cannot be read, or is too large.

    """
    try:
        with locate(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)  # its size is not asked for: devices and pipes have none
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise FileError(f"{path} is larger than {LARGEST_FILE:,} bytes: not a model of this package")
    return content


def open_session(content: bytes, *, name: str, threads: int = 1, optimize: bool = True) -> onnxruntime.InferenceSession:
    """Load an ONNX model into onnxruntime: sequential, without spinning threads.

    Args:
        content: the file's bytes, not its path, so that a model cannot refer to other files.
        name: what to call it in errors.
        threads: how many a call may use.
        optimize: let onnxruntime rewrite the graph, as it does by default.

    Raises:
        ModelError: onnxruntime cannot load it.

    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    options.log_severity_level = 4  # errors are raised; nothing needs printing as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no other base in common
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ModelError(
            f"{name} is not a model that onnxruntime {onnxruntime.__version__} can load: {reason}"
        ) from error


def as_batch(images: object, shape: tuple[int, int, int], *, centred: bool) -> npt.NDArray[np.uint8]:
    """Return the images as a contiguous uint8 [N,channels,height,width].

    Raises:
        ValueError: `Classifier.predict` does not take them.

    """
    if isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.size:
        if images.shape[1:] == shape:
            return np.ascontiguousarray(images)
        if images.shape == shape or (shape[0] == 1 and images.shape[-2:] == shape[1:] and images.ndim in {2, 3}):
            return np.ascontiguousarray(images).reshape(-1, *shape)
    raise ValueError(_what_is_wrong(images, shape, centred=centred))


def _what_is_wrong(images: object, shape: tuple[int, int, int], *, centred: bool) -> str:
    """Return what the images are, what they must be, and how to get there."""
    channels, height, width = shape
    grey = f"[{height},{width}], [N,{height},{width}]" if channels == 1 else f"[{channels},{height},{width}]"
    allowed = f"uint8 {grey} or [N,{channels},{height},{width}], N at least 1"
    if not isinstance(images, np.ndarray):
        return (
            f"images must be an array, {allowed}, not {type(images).__name__}: use numpy.asarray(images, numpy.uint8)"
        )
    hint = "use canonicalize for pictures of other sizes" if centred else "resize pictures of other sizes"
    if images.size == 0:
        hint = "the array is empty"
    elif images.dtype != np.uint8:
        hint = _how_to_convert(images)
    return f"images must be {allowed}, not {images.dtype} {[*images.shape]}: {hint}"


def _how_to_convert(images: npt.NDArray[np.generic]) -> str:
    """Return how pixels of another type become uint8; nothing is guessed."""
    if images.dtype.kind == "f":
        return (
            "convert grey levels 0 to 1 with (images * 255).round().astype(numpy.uint8), "
            "0 to 255 with images.round().astype(numpy.uint8)"
        )
    if images.dtype.kind in "iu":
        return "if all values are 0 to 255, convert with images.astype(numpy.uint8)"
    return "these are not grey levels 0 to 255"
