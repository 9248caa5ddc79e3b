"""The data set `folder`: what is read, what is left out, what is refused, and that every recipe learns a small one."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stages import check, download, train
from stages.config import load_params
from stages.data import load_dataset_info, load_split, train_val_split
from stages.datasets.folder import Folder
from stages.io import MODEL_FILE, TEST_FILE, TRAIN_FILE, WEIGHTS_FILE, StageError
from stages.models import KIND, build_model
from stages.models.inference import load_weights, predict
from stages.recipe import fill
from stages.train import Train
from tests.conftest import edit_params

Change = Callable[[Path], object]


def folder(path: Path, **changes: Any) -> Folder:  # noqa: ANN401 (of every type that it has)
    """Return the data set of a folder."""
    plain: dict[str, Any] = {"path": str(path), "size": None, "channels": "auto", "test": 0.2, "seed": 0}
    return Folder(**(plain | changes))


def draw_shapes(path: Path, count: int, *, ink: int = 0, page: int = 255) -> Path:
    """Draw rings, boxes and crosses, 28x28, `count` of each, dark on light as people do."""
    random = np.random.default_rng(0)
    for label in ("box", "cross", "ring"):
        (path / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = Image.new("L", (28, 28), page)
            pen = ImageDraw.Draw(picture)
            left, top, side = random.integers(2, 8), random.integers(2, 8), random.integers(10, 18)
            frame = [int(left), int(top), int(left + side), int(top + side)]
            if label == "cross":
                pen.line(frame, fill=ink, width=2)
                pen.line([frame[0], frame[3], frame[2], frame[1]], fill=ink, width=2)
            else:
                (pen.rectangle if label == "box" else pen.ellipse)(frame, outline=ink, width=2)
            picture.save(path / label / f"{number:03}.png")
    return path


def test_hidden_files_are_skipped_and_what_else_is_left_out_is_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_shapes(tmp_path, 12)
    for name in (".ipynb_checkpoints/0.png", "box/._000.png", ".DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not a picture")
    for name in ("notes.txt", "box/Thumbs.db", "ring/old/001.png", "cross/1.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not a picture")
    assert folder(tmp_path).load().info.labels == ("box", "cross", "ring")
    told = capsys.readouterr().out
    assert re.search(r"left out 4 files that are not PNG, .*Thumbs\.db, .*1\.heic, .*notes\.txt and 1 more", told)


def test_every_format_that_the_service_reads_is_read(tmp_path: Path) -> None:
    draw_shapes(tmp_path, 8)
    with Image.open(tmp_path / "box/000.png") as picture:
        for suffix in ("webp", "bmp", "gif", "TIF", "jpeg"):
            picture.save(tmp_path / "box" / f"x.{suffix}")
    dataset = folder(tmp_path).load()
    assert len(dataset.train.labels) + len(dataset.test.labels) == 29


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / "star").mkdir(), "star holds no picture that is PNG, .*put some into it, or remove it"),
        (lambda root: draw_shapes(root / "deep/er", 1), r"deep has no picture .* only deeper ones such as .*000\.png"),
        (lambda root: draw_shapes(root / "train", 3), "has a folder train, but none that is called test"),
        (lambda root: draw_shapes(root / "test", 3), "has a folder test, but none that is called train"),
        (lambda root: [path.unlink() for path in (root / "box").glob("00[1-9]*")], "one picture of box: at least two"),
        (
            lambda root: draw_shapes(root, 5, ink=255),
            r"all 15 pictures are alike .*every pixel is 255.*Save them with dark ink on a white page",
        ),
    ],
)
def test_a_clear_mistake_is_refused_with_what_to_do(tmp_path: Path, change: Change, words: str) -> None:
    draw_shapes(tmp_path, 5)
    change(tmp_path)
    with pytest.raises(StageError, match=words):
        folder(tmp_path).load()


def test_splits_with_other_labels_are_refused(tmp_path: Path) -> None:
    draw_shapes(tmp_path / "train", 3)
    draw_shapes(tmp_path / "test", 3)
    (tmp_path / "train/box").rename(tmp_path / "train/square")
    with pytest.raises(StageError, match=r"test lacks square: put pictures of it there, or remove that label"):
        folder(tmp_path).load()


def test_few_and_copied_pictures_are_told_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_shapes(tmp_path / "train", 3)
    for path in draw_shapes(tmp_path / "test", 4).glob("*/00[1-3]*"):
        path.unlink()
    content = (tmp_path / "train/box/001.png").read_bytes()
    (tmp_path / "train/ring/001.png").write_bytes(content)
    folder(tmp_path).load()
    told = capsys.readouterr().err
    assert "test pictures that are training pictures too: 3, such as" in told
    assert re.search(r"pictures under several labels: 1, such as \S*box/001\.png, \S*ring/001\.png", told)
    assert "training pictures of box: 3; add some" in told


def test_one_line_brings_pictures_to_one_size_and_to_grey_or_colour(tmp_path: Path) -> None:
    draw_shapes(tmp_path, 4)
    Image.new("RGB", (40, 30), "red").save(tmp_path / "box/big.png")
    with pytest.raises(StageError, match=r"big\.png is 40x30, .*000\.png is 28x28: .*`size: \[28, 28\]`"):
        folder(tmp_path).load()
    assert folder(tmp_path, size=[20, 24]).load().info.shape == (3, 20, 24)
    assert folder(tmp_path, size=[20, 24], channels="grey").load().info.shape == (1, 20, 24)
    (tmp_path / "box/big.png").unlink()
    assert folder(tmp_path, channels="rgb").load().info.shape == (3, 28, 28)


def test_each_label_gives_its_share_to_the_test_set(tmp_path: Path) -> None:
    draw_shapes(tmp_path, 10)
    dataset = folder(tmp_path, test=0.3).load()
    assert dataset.test.labels.bincount().tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("images", "asked", "fitted"),
    [
        (55_000, (5, 64), (5, 64)),  # MNIST's loops stay as they are
        (55_000, (160, 512), (160, 512)),
        (132, (5, 64), (112, 16)),
        (132, (160, 512), (160, 16)),
        (10, (5, 64), (500, 8)),
    ],
)
def test_a_small_data_set_gets_smaller_batches_and_more_epochs(
    images: int, asked: tuple[int, int], fitted: tuple[int, int]
) -> None:
    epochs, batch_size = asked
    loop = Train(
        epochs=epochs, batch_size=batch_size, min_steps=1_000, seed=0, patience=None, device="cpu", processes=1
    )
    found = loop.fit(images)
    assert (found.epochs, found.batch_size) == fitted
    unchanged = loop.model_copy(update={"min_steps": 0})
    assert unchanged.fit(images) == unchanged


@pytest.mark.parametrize("recipe", ["tutorial", "quick", "accurate", "cnn"])
@pytest.mark.parametrize("page", ["white", "black"])
def test_every_recipe_learns_a_few_drawn_shapes(
    project: Path, capsys: pytest.CaptureFixture[str], recipe: str, page: str
) -> None:
    draw_shapes(project / "pictures", 40, **({"ink": 255, "page": 0} if page == "black" else {}))
    path = project / "params.yaml"
    path.write_text(fill(path.read_text(), recipe))
    edit_params(project, data__dataset="folder", train__min_steps=300)
    download.main()
    capsys.readouterr()
    train.main()
    assert "warning" not in capsys.readouterr().err
    info = load_dataset_info()
    model = load_weights(build_model(load_params(train.Params).model, info), WEIGHTS_FILE, KIND)
    training = train_val_split(load_split(TRAIN_FILE, info), validation=0.16667, seed=0)[0]
    for split, least in ((training, 0.95), (load_split(TEST_FILE, info), 0.7)):
        right = predict(model, split.images).argmax(dim=1) == split.labels
        assert right.float().mean() >= least


def test_whoever_trains_on_own_pictures_is_told_what_that_replaces(project: Path) -> None:
    (project / MODEL_FILE).with_suffix(".json").write_text('{"dataset": "MNIST"}')
    assert check.say_what_is_replaced("mnist") == ""
    assert "will be replaced by the model of folder; `git checkout . && dvc checkout`" in (
        check.say_what_is_replaced("folder")
    )
    for damaged in ("{}", "[]", '{"da', ""):  # what a rebuild repairs
        (project / MODEL_FILE).with_suffix(".json").write_text(damaged)
        assert check.say_what_is_replaced("folder") == ""


def test_a_single_training_image_is_refused_before_the_training(project: Path) -> None:
    draw_shapes(project / "pictures", 2)
    edit_params(project, data__dataset="folder")
    download.main()
    count = len(load_split(TRAIN_FILE, load_dataset_info()).labels)
    edit_params(project, data__validation=count - 1)
    with pytest.raises(StageError, match=r"too few training images, 1: add some, or lower `data.validation`"):
        train.main()
