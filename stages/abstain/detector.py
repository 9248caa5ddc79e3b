"""Stage `detector`: a second, smaller network that tells digits from everything else.

A classifier has an answer for everything, a letter or a scribble too, and is often sure of it. The detector is asked
first: it has seen digits and other pictures, all read in the same way. It knows nothing of the classifier, and serves
any.
"""

import math
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import trange

from stages.abstain.ood_images import TRAINED, TRAINED_NOISE, draw_trained
from stages.augment import Augment
from stages.config import Count, Pictures, Rate, Section, Seed, Width, load_params
from stages.data import Data, DatasetInfo, Split, batches, load_dataset_info, load_training, prefetch
from stages.drawn.digits import DIGITS, DrawnDigits
from stages.drawn.pages import read_again
from stages.io import DETECTOR_FILE, run, save_tensors
from stages.models.detector import KIND, build_detector

FEWEST = 20  # pictures of a kind, however small the data set


class Detector(Section):
    """The second network and how it is trained.

    Attributes:
        pictures: drawn of each kind that is not a digit, at most.
        digits: drawn of each digit.
        pages: training images that are read again from an enlarged page.
        repeats: how often an epoch learns from each of these, augmented differently each time.
        hidden: the widths of its hidden layers, the first nearest to the pixels.
        learning_rate: the highest of a one-cycle schedule.
        epochs: passes over the training images.
        batch_size: images in a step.
        augment: how images are augmented.
        seed: draws the pictures, the first weights, the order of the images, and how they are augmented.

    """

    pictures: Annotated[Pictures, Field(gt=0)]
    digits: Pictures
    pages: Pictures
    repeats: Count
    hidden: Annotated[tuple[Width, ...], Field(strict=False, min_length=1)]
    learning_rate: Rate
    epochs: Count
    batch_size: Count
    augment: Augment
    seed: Seed


class Params(Section):
    """What the stage uses."""

    data: Data
    detector: Detector


def detector_examples(training: Split, info: DatasetInfo, params: Detector) -> tuple[Split, Tensor]:
    """Return images, with the label 1 for a digit and 0 for anything else, and the rows that an epoch takes of them.

    Digits are the training images, some of them read again from an enlarged page, and drawn ones. For another data
    set its images take the place of digits. A small data set gets fewer other pictures, about as many as it has itself,
    and its images are repeated until both weigh the same.
    """
    kinds = len(TRAINED) + len(TRAINED_NOISE)
    pictures = min(params.pictures, max(FEWEST, len(training.labels) // kinds))
    repeats = max(1, pictures * kinds * params.repeats // len(training.labels))
    drawn = DrawnDigits(pictures=params.digits, seed=params.seed).draw(info)
    again = read_again(training.images[: params.pages], info, np.random.default_rng(params.seed))
    others = draw_trained(pictures, info, seed=params.seed)
    images = torch.cat([training.images, drawn.images, again, others])
    rows = torch.arange(len(images))
    labels = (rows < len(images) - len(others)).long()
    times = torch.where(rows < len(training.labels), repeats, params.repeats)
    return Split(images, labels), rows.repeat_interleave(times)


def fit_detector(examples: Split, rows: Tensor, params: Detector, *, centred: bool) -> nn.Sequential:
    """Train a detector of images like MNIST's or not: binary cross-entropy, Adam, a one-cycle learning rate."""
    augment = params.augment.suit(centred=centred)
    torch.manual_seed(params.seed)
    detector = build_detector(examples.shape, hidden=params.hidden)
    optimizer = Adam(detector.parameters(), lr=params.learning_rate, fused=True)
    steps = params.epochs * math.ceil(len(rows) / params.batch_size)
    schedule = OneCycleLR(optimizer, params.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(params.seed)
    for _ in trange(params.epochs, desc="training the detector", leave=False, disable=None):
        order = rows[torch.randperm(len(rows), generator=generator)]
        augmented = batches(examples, order, batch_size=params.batch_size, generator=generator, augment=augment)
        for images, labels, _rows in prefetch(augmented):
            loss = binary_cross_entropy_with_logits(detector(images)[:, 0], labels.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return detector


def main() -> None:
    """Write `models/detector.safetensors`."""
    params, info = load_params(Params), load_dataset_info()
    examples, rows = detector_examples(load_training(info, params.data)[0], info, params.detector)
    digits = int(examples.labels.sum())
    name = "digits" if info.labels == DIGITS else f"images of {info.name}"
    print(f"{digits:,} {name} and {len(examples.labels) - digits:,} others to tell them from")
    detector = fit_detector(examples, rows, params.detector, centred=info.centred)
    save_tensors(DETECTOR_FILE, KIND, detector.state_dict())


if __name__ == "__main__":
    run(main)
