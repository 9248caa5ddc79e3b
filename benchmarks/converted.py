"""What it costs to convert the model on purpose: to ORT's own format, to 8-bit weights, to 16-bit floats.

    python -m benchmarks.converted [--count 200]

Prints a Markdown table. Each file is loaded as a user would, with `Classifier(path, verify="labels")`. Beside the test
images it reads pictures made of them in every way that `benchmarks/degrade.py` knows, through `canonicalize`, and
pictures that are not digits, as `evaluate` draws them. A picture is refused where the model abstains, or where
`canonicalize` finds no digit in it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from mnist_serving import Classifier, canonicalize
from mnist_serving.preprocess.canonicalize import PictureError
from torch import Tensor
from tqdm import tqdm

from benchmarks import at_least_1
from benchmarks.degrade import KINDS, degrade
from stages.abstain.ood_images import refused_shares
from stages.data import DatasetInfo, load_dataset_info, load_split
from stages.io import DATASET_FILE, MODEL_FILE, TEST_FILE

ROOT = Path(__file__).parents[1]
MODEL = ROOT / MODEL_FILE
SEED = 21

Pixels = npt.NDArray[np.uint8]


def to_ort(folder: Path) -> Path:
    """Convert to the format of an onnxruntime that is built without ONNX, for small devices."""
    command = [sys.executable, "-m", "onnxruntime.tools.convert_onnx_models_to_ort", str(MODEL)]
    subprocess.run([*command, "--output_dir", str(folder)], check=True, capture_output=True)
    return folder / "model.ort"


def to_int8(folder: Path) -> Path:
    """Round the weights to 8 bits, unsigned: signed ones saturate on processors without VNNI."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(MODEL, folder / "int8.onnx", weight_type=QuantType.QUInt8)
    return folder / "int8.onnx"


def to_float16(folder: Path) -> Path:
    """Compute in 16 bits; the outputs stay 32-bit floats."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(MODEL), keep_io_types=True), folder / "float16.onnx")
    return folder / "float16.onnx"


CONVERSIONS: Mapping[str, Callable[[Path], Path]] = {
    "as it is": lambda _: MODEL,
    "ORT format": to_ort,
    "int8": to_int8,
    "float16": to_float16,
}


def read_degraded(images: Pixels, labels: npt.NDArray[np.int64]) -> tuple[Pixels, npt.NDArray[np.int64], int]:
    """Return what `canonicalize` makes of each image in each kind of picture, the labels, and how many it refuses."""
    read, wanted = [], []
    for number, kind in enumerate(tqdm(KINDS, desc="pictures", disable=None, leave=False)):
        for place, (image, label) in enumerate(zip(images, labels, strict=True)):
            try:
                read.append(canonicalize(degrade(image, kind, (SEED, number, place))))
            except PictureError:
                continue
            wanted.append(label)
    return np.stack(read), np.array(wanted), len(KINDS) * len(images) - len(read)


def draw_others(count: int, info: DatasetInfo) -> tuple[Pixels, int]:
    """Return what a model sees of `count` pictures of each group that is not a digit, and how many show nothing."""
    seen: list[Tensor] = []

    def keep(images: Tensor) -> Tensor:
        seen.append(images)
        return torch.zeros(len(images), dtype=torch.bool)

    groups = refused_shares(keep, count, info, seed=SEED)
    images = torch.cat(seen).numpy()
    return images, count * len(groups) - len(images)


def main() -> None:
    """Convert, measure and print."""
    parser = argparse.ArgumentParser(description="What converting the model costs.")
    parser.add_argument("--count", type=at_least_1, default=200, help="pictures of each kind; default: %(default)s")
    count = parser.parse_args().count
    info = load_dataset_info(ROOT / DATASET_FILE)
    test = load_split(ROOT / TEST_FILE, info)
    images, labels = test.images.numpy(), test.labels.numpy()
    pictures, shown, unread = read_degraded(images[:count, 0], labels[:count])
    others, empty = draw_others(count, info)
    plain = Classifier().predict(images)
    columns = ("converted to", "KB", "logits", "other label", "right", "abstained", "pictures right", "refused")
    print(f"| {' | '.join((*columns, 'others refused'))} |\n|{' --- |' * (len(columns) + 1)}")
    for name, convert in CONVERSIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = convert(Path(folder))
            size, classifier = path.stat().st_size / 1000, Classifier(path, verify="labels")
        found, read = classifier.predict(images), classifier.predict(pictures)
        guesses, answers = found.logits.argmax(axis=1), read.logits.argmax(axis=1)
        refused = (classifier.predict(others).abstained.sum() + empty) / (len(others) + empty)
        cells = (
            f"{size:.0f}",
            f"{np.abs(found.logits - plain.logits).max():.2g}",
            f"{(guesses != plain.logits.argmax(axis=1)).sum()}",
            f"{(guesses == labels).mean():.2%}",
            f"{found.abstained.mean():.2%}",
            f"{(answers == shown).sum() / (len(shown) + unread):.2%}",
            f"{(read.abstained.sum() + unread) / (len(shown) + unread):.2%}",
            f"{refused:.2%}",
        )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(
        f"\n{len(images):,} test images; {len(shown) + unread:,} pictures made of them; {len(others) + empty:,} that "
        f"are not digits. onnxruntime {onnxruntime.__version__}"
    )


if __name__ == "__main__":
    main()
