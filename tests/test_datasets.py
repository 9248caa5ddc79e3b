"""The data sets of box 1: labels, shape and checksums travel with the images; faulty pictures are reported."""

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from mnist_serving import Classifier
from mnist_serving.images import read_picture
from mnist_serving.metadata import Contract, Golden
from PIL import Image

from stages import download, evaluate, export, train
from stages.abstain import calibrate, detector
from stages.data import load_dataset_info, load_split
from stages.datasets.folder import Folder
from stages.datasets.mnist import FashionMnist, import_torchvision
from stages.io import MODEL_FILE, TEST_FILE, TRAIN_FILE, StageError
from tests.conftest import TEST_IMAGES, TRAIN_IMAGES, edit_params

COLOURS = {"blue": (0, 0, 200), "green": (0, 200, 0), "red": (200, 0, 0)}


def draw_pictures(folder: Path, count: int, *, mode: str = "RGB", size: tuple[int, int] = (20, 24)) -> Path:
    """Write noisy pictures of one colour, `count` of each label."""
    random = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 55, (size[1], size[0], 3)) + np.array(colour)
            Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(folder / label / f"{number}.png")
    return folder


def folder(path: Path, **changes: Any) -> Folder:  # noqa: ANN401 (of every type that it has)
    """Return the data set of a folder."""
    plain: dict[str, Any] = {"path": str(path), "size": None, "channels": "auto", "test": 0.2, "seed": 0}
    return Folder(**(plain | changes))


def run_pipeline() -> Classifier:
    """Run all stages but `parity` in the working directory; return the exported model."""
    for stage in (download, detector, train, calibrate, evaluate, export):
        stage.main()
    return Classifier(MODEL_FILE)


def test_colour_pictures_of_any_size_become_a_model_that_takes_them(project: Path) -> None:
    pictures = draw_pictures(project / "pictures", 30)
    edit_params(project, data__dataset="folder", download__folder__path=str(pictures))
    classifier = run_pipeline()
    assert classifier.labels == ("blue", "green", "red")
    assert classifier.contract.image_shape == (3, 24, 20)
    test = load_split(TEST_FILE, load_dataset_info())
    assert len(test.labels) == round(0.2 * 90)
    prediction = classifier.predict(test.images.numpy())
    assert prediction.labels == [classifier.labels[label] for label in test.labels.tolist()]
    assert classifier.predict(test.images[0].numpy()).labels == prediction.labels[:1]
    with pytest.raises(ValueError, match=r"must be uint8 \[3,24,20\] or \[N,3,24,20\]"):
        classifier.predict(np.zeros((24, 20), np.uint8))
    metadata = {entry.key: entry.value for entry in onnx.load(MODEL_FILE).metadata_props}
    assert json.loads(metadata["preprocessing"])["channels"] == "rgb"


def test_a_folder_may_have_its_own_test_set(tmp_path: Path) -> None:
    draw_pictures(tmp_path / "train", 5, mode="L")
    draw_pictures(tmp_path / "test", 2, mode="L")
    dataset = folder(tmp_path, test=0.5).load()
    assert dataset.info.shape == (1, 24, 20)
    assert (len(dataset.train.labels), len(dataset.test.labels)) == (15, 6)
    with Image.open(tmp_path / "test/red/1.png") as picture:
        assert torch.equal(dataset.test.images[-1, 0], torch.from_numpy(np.array(picture)))


def test_grey_pictures_written_as_rgb_are_grey(tmp_path: Path) -> None:
    for label, level in (("dark", 10), ("light", 240)):
        (tmp_path / label).mkdir()
        for number in range(3):
            Image.new("RGB", (9, 8), (level,) * 3).save(tmp_path / label / f"{number}.png")
    assert folder(tmp_path, test=0.5).load().info.shape == (1, 8, 9)
    Image.new("RGB", (9, 8), (10, 10, 11)).save(tmp_path / "dark/0.png")
    assert folder(tmp_path, test=0.5).load().info.shape == (3, 8, 9)


@pytest.mark.parametrize(
    ("about", "centred"), [(None, False), ('{"centred": true}', True), ('{"centred": false}', False)]
)
def test_a_file_in_the_folder_says_whether_its_pictures_are_centred(
    tmp_path: Path, about: str | None, *, centred: bool
) -> None:
    draw_pictures(tmp_path, 3, mode="L", size=(28, 28))
    if about:
        (tmp_path / "dataset.json").write_text(about)
    assert folder(tmp_path, test=0.5).load().info.centred == centred


@pytest.mark.parametrize("about", ["", "no", '{"centred": 1}', '{"centred": true, "size": 28}'])
def test_any_other_word_on_it_is_refused(tmp_path: Path, about: str) -> None:
    draw_pictures(tmp_path, 3, mode="L", size=(28, 28))
    (tmp_path / "dataset.json").write_text(about)
    with pytest.raises(StageError, match=r'dataset\.json must be \{"centred": true\} or \{"centred": false\}'):
        folder(tmp_path, test=0.5).load()


@pytest.mark.parametrize(("mode", "size"), [("RGB", (28, 28)), ("L", (32, 32))])
def test_pictures_unlike_mnists_are_not_believed_to_be_centred(
    tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    draw_pictures(tmp_path, 3, mode=mode, size=size)
    (tmp_path / "dataset.json").write_text('{"centred": true}')
    with pytest.raises(StageError, match=r"are centred, but they are \[\d, \d+, \d+\], not \[1, 28, 28\]: set"):
        folder(tmp_path, test=0.5).load()


def test_the_first_training_pictures_of_a_folder_are_of_all_labels(tmp_path: Path) -> None:
    draw_pictures(tmp_path, 40)
    train = folder(tmp_path, test=0.1).load().train
    assert set(train.labels[:20].tolist()) == set(train.labels.tolist())


def test_a_test_set_of_another_size_than_the_training_set_is_reported_with_both_sizes(tmp_path: Path) -> None:
    draw_pictures(tmp_path / "train", 2)
    draw_pictures(tmp_path / "test", 2, size=(10, 12))
    with pytest.raises(StageError, match=r"test/blue/0\.png is 10x12, .*train/blue/0\.png is 20x24: all pictures"):
        folder(tmp_path, test=0.5).load()


def test_the_seed_decides_which_pictures_of_a_folder_are_tested_on(tmp_path: Path) -> None:
    draw_pictures(tmp_path, 20)
    first, again, other = (folder(tmp_path, test=0.3, seed=seed).load() for seed in (1, 1, 2))
    assert torch.equal(first.test.images, again.test.images)
    assert not torch.equal(first.test.images, other.test.images)
    assert len(first.train.labels) + len(first.test.labels) == 60


def test_every_fault_of_a_folder_is_reported_with_its_path(tmp_path: Path) -> None:
    def load() -> None:
        folder(tmp_path / "pictures").load()

    with pytest.raises(
        StageError, match=r"pictures is not a folder: put your pictures there, or set `download\.folder\.path`"
    ):
        load()
    (tmp_path / "pictures").mkdir()
    with pytest.raises(StageError, match="holds no pictures"):
        load()
    (tmp_path / "pictures/1.png").touch()
    with pytest.raises(
        StageError, match=r"right in .*pictures: put each into its label's folder, .*pictures/<label>/$"
    ):
        load()
    (tmp_path / "pictures/1.png").unlink()
    draw_pictures(tmp_path / "pictures", 3)
    (tmp_path / "pictures/red/1.png").write_bytes(b"no picture")
    with pytest.raises(StageError, match=r"red/1\.png cannot be read as an image \(.*\): fix or remove it"):
        load()
    Image.new("RGB", (7, 7)).save(tmp_path / "pictures/red/1.png")
    with pytest.raises(StageError, match=r"red/1\.png is 7x7, .*blue/0\.png is 20x24: all pictures") as caught:
        load()
    assert "download.folder.size" in str(caught.value)
    for label in ("blue", "green"):
        (tmp_path / "pictures" / label).rename(tmp_path / label)
    with pytest.raises(StageError, match="pictures of red alone: at least two labels are needed"):
        load()


def test_pictures_are_read_upright_on_white_and_in_8_bits(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    upright = Image.Exif()
    upright[0x0112] = 6  # orientation: turn by a quarter
    Image.fromarray(np.array([[10, 20]], np.uint8)).save(tmp_path / "a/1.png", exif=upright)
    Image.fromarray(np.array([[256], [65_535]], np.uint16)).save(tmp_path / "a/2.png")
    for name in ("1.png", "2.png"):
        Image.fromarray(np.array([[[7, 255]], [[7, 0]]], np.uint8)).save(tmp_path / "b" / name)
    dataset = folder(tmp_path, test=0.5).load()
    images = torch.cat([dataset.train.images, dataset.test.images]).flatten(start_dim=1).tolist()
    assert sorted(images) == [[1, 255], [7, 255], [7, 255], [10, 20]]


def test_pictures_are_read_as_those_that_the_model_is_asked_about(tmp_path: Path) -> None:
    ink = Image.new("LA", (30, 30), (255, 0))
    ink.paste((255, 255), (10, 5, 14, 25))
    levels = np.where(np.eye(30, dtype=bool), 1023, 500).astype(np.uint16)  # 10 bits
    solid = Image.new("LA", (30, 30), (0, 0))
    solid.paste((200, 255), (5, 5, 20, 20))
    solid.paste((20, 255), (10, 10, 12, 12))
    for label, picture in (("a", ink), ("b", Image.fromarray(levels)), ("c", solid)):
        (tmp_path / label).mkdir()
        for number in range(2):
            picture.save(tmp_path / label / f"{number}.png")
    dataset = Folder(path=str(tmp_path), size=None, channels="auto", test=0.5, seed=0).load()
    read = {dataset.info.labels[label]: image for image, label in zip(*dataset.train, strict=True)}
    read |= {dataset.info.labels[label]: image for image, label in zip(*dataset.test, strict=True)}
    golden = Golden(np.zeros((1, 1, 30, 30), np.uint8), np.zeros((1, 3), np.float32))
    contract = Contract(("a", "b", "c"), (1, 30, 30), centred=False, confidence_threshold=0, golden=golden, metadata={})
    for label in "abc":
        seen = read_picture((tmp_path / label / "0.png").read_bytes(), contract)
        assert np.array_equal(read[label].numpy(), seen)
    assert read["a"].numpy().max() > read["a"].numpy().min(), "white ink on a transparent page is seen"


def test_scikit_learns_digits_need_no_mirror(project: Path) -> None:
    edit_params(project, data__dataset="uci_digits", download__mnist__mirrors=["nowhere"], train__epochs=15)
    classifier = run_pipeline()
    train_split, test = (load_split(path, load_dataset_info()) for path in (TRAIN_FILE, TEST_FILE))
    assert len(train_split.labels) + len(test.labels) == 1_797
    assert classifier.metadata["dataset"] == "UCI digits"
    prediction = classifier.predict(test.images.numpy())
    right = sum(label == str(wanted) for label, wanted in zip(prediction.labels, test.labels.tolist(), strict=True))
    assert right > 0.9 * len(test.labels)


@pytest.mark.parametrize("wanted", [("fashion_mnist", "FashionMNIST", "coat"), ("kmnist", "KMNIST", "na")])
def test_data_sets_of_mnists_format_are_checked_with_torchvisions_checksums(
    project: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch, wanted: tuple[str, str, str]
) -> None:
    dataset, name, label = wanted
    import_torchvision()
    from torchvision import datasets

    monkeypatch.setattr(getattr(datasets, name), "mirrors", [str(mirror)])
    edit_params(project, data__dataset=dataset)
    with pytest.raises(StageError, match="is incomplete or a different file"):
        download.main()
    checksums = [(path.name, md5(path.read_bytes(), usedforsecurity=False).hexdigest()) for path in mirror.iterdir()]
    monkeypatch.setattr(getattr(datasets, name), "resources", checksums)
    download.main()
    info = load_dataset_info()
    assert (info.name, info.labels[4]) == (name, label)
    assert not info.centred
    assert len(load_split(TRAIN_FILE, info).labels) == TRAIN_IMAGES
    assert len(load_split(TEST_FILE, info).labels) == TEST_IMAGES


def test_the_labels_are_torchvisions_in_their_order() -> None:
    import_torchvision()
    from torchvision import datasets

    ours = [name.lower() for name in FashionMnist.labels]
    assert all(
        name.split()[-1] in theirs.lower() for name, theirs in zip(ours, datasets.FashionMNIST.classes, strict=True)
    )


def test_an_unknown_data_set_is_reported_with_the_nearest(project: Path) -> None:
    edit_params(project, data__dataset="fashon_mnist")
    with pytest.raises(StageError, match=r"'fashon_mnist'; did you mean `fashion_mnist`\?.*uci_digits, folder"):
        download.main()
    assert not (project / "data").exists()
