"""The package's classifier: its answers, the images it takes, and the files it refuses."""

import json
import multiprocessing
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from mnist_serving import Classifier, FileError, ModelError, Prediction
from mnist_serving.classifier import PACKAGED_MODEL
from onnx import external_data_helper, numpy_helper

from stages.abstain.ood_images import draw_noise
from stages.abstain.strokes import blank, grains, specks, stripes, uniform_noise
from stages.drawn.pages import Draw

GOLDEN = Classifier().contract.golden


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the packaged model to do things to, without the description beside it."""
    return Path(shutil.copy(PACKAGED_MODEL, tmp_path / "model.onnx"))


def test_the_golden_examples_are_answered_and_say_what_they_show(classifier: Classifier) -> None:
    prediction = classifier.predict(GOLDEN.images)
    assert prediction.labels[:3] == ["1", "7", "0"]
    np.testing.assert_allclose(prediction.logits, GOLDEN.logits, atol=1e-3)


def test_probabilities_are_the_softmax_of_the_logits_over_the_temperature(classifier: Classifier) -> None:
    prediction = classifier.predict(GOLDEN.images)
    scores = prediction.logits / float(classifier.metadata["temperature"])
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-6)


def test_all_three_shapes_give_the_same_answers(classifier: Classifier) -> None:
    many = GOLDEN.images
    whole = classifier.predict(many)
    for images in (many[:, 0], np.asfortranarray(many), many[::-1][::-1]):
        assert np.array_equal(classifier.predict(images).logits, whole.logits)
    for row, image in enumerate(many):
        one = classifier.predict(image[0])
        assert one.labels == [whole.labels[row]]
        np.testing.assert_allclose(one.logits[0], whole.logits[row], atol=1e-5)
    assert whole.abstained.dtype == np.bool_
    assert whole.probabilities.dtype == whole.logits.dtype == np.float32


@pytest.mark.parametrize("draw", [blank, uniform_noise, stripes, specks])
def test_the_model_always_abstains_on_blank_pages_and_noise(classifier: Classifier, draw: Draw) -> None:
    assert classifier.predict(draw_noise(draw, 1000, (1, 28, 28), np.random.default_rng(99)).numpy()).abstained.all()


def test_the_model_abstains_on_every_grey_page(classifier: Classifier) -> None:
    pages = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None], (256, 28, 28))
    assert classifier.predict(pages).abstained.all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((28, 28)), ["not float64 [28, 28]", "(images * 255).round().astype(numpy.uint8)"]),
        (np.full((28, 28), np.nan, np.float32), ["not float32", "numpy.uint8"]),
        (np.zeros((28, 28), np.int64), ["not int64", "images.astype(numpy.uint8)"]),
        (np.zeros((0, 28, 28), np.uint8), ["not uint8 [0, 28, 28]", "empty"]),
        (np.zeros((27, 28), np.uint8), ["not uint8 [27, 28]", "canonicalize"]),
        (np.zeros((2, 28, 28, 1), np.uint8), ["not uint8 [2, 28, 28, 1]", "must be uint8 [28,28]"]),
        (np.zeros((1, 3, 28, 28), np.uint8), ["not uint8 [1, 3, 28, 28]"]),
        (np.zeros(784, np.uint8), ["not uint8 [784]"]),
        (np.array(5, np.uint8), ["not uint8 []"]),
        (np.array([None]), ["not object", "not grey levels"]),
        (np.array([["7"]]), ["not grey levels"]),
        (np.zeros((28, 28), np.bool_), ["not bool", "not grey levels"]),
        ([["1", "2"]], ["not list", "numpy.asarray"]),
        (None, ["not NoneType"]),
        ("digit.png", ["not str"]),
    ],
)
def test_anything_else_is_refused_with_what_it_is_and_what_it_must_be(
    classifier: Classifier, images: object, words: list[str]
) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        classifier.predict(images)  # type: ignore[arg-type]
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("digit", "abstained", "reason"), [(0.2, True, "no digit"), (0.9, True, "7 or 1"), (0.9, False, "")]
)
def test_abstaining_has_a_reason(digit: float, abstained: bool, reason: str) -> None:  # noqa: FBT001 (a test's case)
    probabilities = np.array([[0.4, 0.1, 0.5]], np.float32)
    doubts = np.array([digit], np.float32), np.array([abstained])
    assert Prediction(["7"], probabilities, probabilities, *doubts, names=("1", "2", "7")).reason(0) == reason


def test_the_reason_no_digit_is_given_only_where_the_labels_are_digits() -> None:
    scores, doubts = np.array([[0.4, 0.6]], np.float32), (np.array([0.2], np.float32), np.array([True]))
    assert Prediction(["cat"], scores, scores, *doubts, names=("cat", "dog")).reason(0) == "none of its labels"


def test_a_classifier_can_be_sent_to_another_process(classifier: Classifier, copied: Path) -> None:
    for one in (classifier, Classifier(copied, threads=2, verify="labels")):
        again = pickle.loads(pickle.dumps(one))  # noqa: S301 (just written)
        assert again.checksum == one.checksum
        assert np.array_equal(again.predict(GOLDEN.images).logits, one.predict(GOLDEN.images).logits)
    assert len(pickle.dumps(classifier)) < 1_000, "the path, not the model"
    code = "import pickle, sys; predict, images = pickle.load(sys.stdin.buffer); print(predict(images).labels)"
    sent = pickle.dumps((classifier.predict, GOLDEN.images))
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(classifier.predict(GOLDEN.images).labels)


def test_many_images_are_answered_in_pieces_as_at_once(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    images = draw_noise(grains, 50, (1, 28, 28), np.random.default_rng(1)).numpy()
    whole = classifier.predict(images)
    monkeypatch.setattr("mnist_serving.classifier.AT_ONCE", 7)
    pieces = classifier.predict(images)
    assert pieces.labels == whole.labels
    for name in ("logits", "probabilities", "digit", "abstained"):
        assert np.array_equal(getattr(pieces, name), getattr(whole, name))


def test_threads_share_one_classifier(classifier: Classifier) -> None:
    images = draw_noise(grains, 64, (1, 28, 28), np.random.default_rng(1)).numpy()
    expected = classifier.predict(images).logits
    with ThreadPoolExecutor(8) as pool:
        for prediction in pool.map(lambda _: classifier.predict(images), range(64)):
            assert np.array_equal(prediction.logits, expected)


def _answer(logits: "multiprocessing.SimpleQueue[list[float]]", classifier: Classifier) -> None:
    logits.put(classifier.predict(GOLDEN.images).logits.ravel().tolist())


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_classifier_answers_after_a_fork(classifier: Classifier) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.SimpleQueue[list[float]] = context.SimpleQueue()
    child = context.Process(target=_answer, args=(answers, classifier))
    child.start()
    assert answers.get() == classifier.predict(GOLDEN.images).logits.ravel().tolist()
    child.join()
    assert child.exitcode == 0


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.onnx: No such file"):
        Classifier(tmp_path / "none.onnx")
    with pytest.raises(FileError, match="directory"):
        Classifier(tmp_path)


@pytest.mark.parametrize("length", [0, 10, 1000, 300_000, -1])
def test_a_truncated_file_is_refused_in_a_sentence(copied: Path, length: int) -> None:
    copied.write_bytes(copied.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"model\.onnx") as caught:
        Classifier(copied)
    assert "\n" not in str(caught.value)


def test_another_model_is_refused_in_a_sentence(copied: Path) -> None:
    identity = onnx.helper.make_node("Identity", ["x"], ["y"])
    tensors = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([identity], "other", tensors[:1], tensors[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 12)], ir_version=7), copied)
    with pytest.raises(
        ModelError, match=r"is not a model of this package: its metadata lacks an entry, or one is not valid: 'labels'"
    ):
        Classifier(copied)


def test_changed_weights_are_noticed_by_the_golden_examples(copied: Path) -> None:
    model = onnx.load(copied)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "classifier.1.weight")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1.01), weights.name))
    onnx.save(model, copied)
    with pytest.raises(
        ModelError,
        match=r"altered .*names mnist-serving as its .*: its golden .* off by .*Classifier\(path, verify=\"labels\"\)",
    ):
        Classifier(copied)
    assert Classifier(copied, verify="labels").predict(GOLDEN.images).labels[:3] == ["1", "7", "0"]
    weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
    onnx.save(model, copied)
    with pytest.raises(ModelError, match=r"are off by [\d.]+; get the original again$"):
        Classifier(copied, verify="labels")
    with pytest.raises(ValueError, match="verify must be one of logits, labels, not 'none'"):
        Classifier(copied, verify="none")  # type: ignore[arg-type]


def test_a_single_changed_bit_is_noticed_by_the_description_beside_the_file(copied: Path) -> None:
    shutil.copy(PACKAGED_MODEL.with_suffix(".json"), copied.with_suffix(".json"))
    Classifier(copied)
    content = bytearray(copied.read_bytes())
    content[content.index(b"classifier.1.weight") - 1000] ^= 1
    copied.write_bytes(content)
    with pytest.raises(ModelError, match=r"is not the file that model\.json beside it describes"):
        Classifier(copied)
    copied.with_suffix(".json").write_text("[]")
    with pytest.raises(ModelError, match=r"model\.json does not describe a model"):
        Classifier(copied)


def change_metadata(path: Path, key: str, value: str | None) -> None:
    """Give an entry of a model file's metadata another value, or none."""
    model = onnx.load(path)
    entry = next(entry for entry in model.metadata_props if entry.key == key)
    if value is None:
        model.metadata_props.remove(entry)
    else:
        entry.value = value
    onnx.save(model, path)


@pytest.mark.parametrize("value", [None, "", "5", '{"a": 1}'])
@pytest.mark.parametrize("key", ["labels", "preprocessing", "golden", "confidence_threshold", "accuracy"])
def test_metadata_that_lacks_an_entry_or_has_a_wrong_one_is_refused(copied: Path, key: str, value: str | None) -> None:
    change_metadata(copied, key, value)
    with pytest.raises(ModelError, match=r"is not a model of this package"):
        Classifier(copied)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("dataset", None, "dataset"),
        ("dataset", "", "dataset"),
        ("accuracy", "NaN", "'accuracy': it must be between 0 and 1, not NaN"),
        ("labels", '["one"]', "'labels': they must be two names or more"),
        ("labels", json.dumps([*range(10)]), "'labels': they must be two names or more"),
        ("preprocessing", '{"channels": "grey", "size": [Infinity, 28]}', "infinity"),
        ("golden", json.dumps({"images": ["A" * 1044 + "AA=="], "logits": [[0] * 7]}), r"\[1, 10\], not \[1, 7\]"),
        ("golden", json.dumps({"images": ["A" * 1044 + "AA=="], "logits": [0] * 10}), r"\[1, 10\], not \[10\]"),
    ],
)
def test_metadata_that_is_not_valid_is_refused_in_a_sentence(
    copied: Path, key: str, value: str | None, words: str
) -> None:
    change_metadata(copied, key, value)
    with pytest.raises(ModelError, match=f"is not a model of this package.*{words}"):
        Classifier(copied)


def test_a_device_without_an_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_serving.classifier.LARGEST_FILE", 1000)
    with pytest.raises(FileError, match=r"/dev/zero is larger than 1,000 bytes"):
        Classifier("/dev/zero")


def test_weights_outside_the_file_are_not_loaded(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load(copied)
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, copied)
    assert (copied.parent / "weights.bin").exists()
    monkeypatch.chdir(copied.parent)
    with pytest.raises(ModelError, match=r"model\.onnx is not a model that onnxruntime"):
        Classifier(copied)


def test_the_metadata_says_what_an_app_cannot_guess(classifier: Classifier) -> None:
    assert classifier.labels == tuple("0123456789")
    assert re.fullmatch("[0-9a-f]{64}", classifier.metadata["weights_sha256"])
    beside = json.loads(PACKAGED_MODEL.with_suffix(".json").read_text())
    assert beside["sha256"] == classifier.checksum
    assert beside["accuracy"] == float(classifier.metadata["accuracy"])
