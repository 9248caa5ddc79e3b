"""Stage `detector`: a second, smaller network that tells digits from everything else.

<<<<<<< HEAD
A classifier has an answer for everything, a letter or a scribble too, and is often sure of it. The detector is asked
first: it has seen digits and other pictures, all read in the same way. It knows nothing of the classifier, and serves
any.
"""

import math
from typing import NamedTuple

import numpy as np
=======
A classifier answers for every picture, also for a letter or a scribble, and is often sure of it. The detector has
learned from digits and from pictures that are not digits. It does not depend on the classifier.
"""

>>>>>>> 7ed53f6159f9e4b671fe176442a1f6ca261b8610
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from stages.abstain.ood_images import draw_trained
from stages.augment import Augment
from stages.config import Count, Rate, Section, Seed, Width, load_params
from stages.data import Data, DatasetInfo, Split, batches, load_dataset_info, load_split, train_val_split
from stages.drawn.digits import DrawnDigits
from stages.drawn.pages import read_again
from stages.io import DATASET_FILE, DETECTOR_FILE, TRAIN_FILE, run, save_tensors
from stages.models.detector import KIND, build_detector

<<<<<<< HEAD
READ_AGAIN = 4  # training images that are read again, as a multiple of the pictures of each kind
=======
PIECE = 1000  # images
>>>>>>> 7ed53f6159f9e4b671fe176442a1f6ca261b8610


class Detector(Section):
    """The second network, of one hidden layer, and how it is trained.

    Attributes:
        pictures: drawn of each digit and of each kind that is not a digit.
        repeats: how often an epoch learns from a drawn picture, augmented differently each time.
        hidden: the width of the hidden layer.
        learning_rate: the highest of a one-cycle schedule.
        epochs: passes over the training images.
        batch_size: images in a step.
        augment: how images are augmented.
        seed: draws the pictures, the first weights, the order of the images, and how they are augmented.

    """

    pictures: Count
    repeats: Count
    hidden: Width
    learning_rate: Rate
    epochs: Count
    batch_size: Count
    augment: Augment
    seed: Seed


<<<<<<< HEAD
class Examples(NamedTuple):
    """Images with the labels 1 for a digit and 0 for anything else, and how often an epoch takes each, int64 [N]."""

    split: Split
    repeats: Tensor


=======
>>>>>>> 7ed53f6159f9e4b671fe176442a1f6ca261b8610
class Params(Section):
    """What the stage uses."""

    data: Data
    detector: Detector


<<<<<<< HEAD
def detector_examples(training: Split, info: DatasetInfo, params: Detector) -> Examples:
    """Return digits and other pictures.
=======
def detector_examples(digits: Split, *, centred: bool, pictures: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return digits and other pictures as inputs, float32 [N,inputs], and labels, float32 [N], 1 for a digit.

    Args:
        digits: the images that the classifier learns from; those of another data set take the digits' place.
        centred: they are drawn with a pen and framed as MNIST's; then some are also redrawn with other pens.
        pictures: how many of each kind of figure are drawn; each is turned and mirrored eight ways.
        seed: the same seed gives the same pictures.
>>>>>>> 7ed53f6159f9e4b671fe176442a1f6ca261b8610

    Digits are the training images, some of them read again from an enlarged page, and drawn ones. Of another data set
    its images take the place of digits.
    """
<<<<<<< HEAD
    drawn = DrawnDigits(pictures=params.pictures, seed=params.seed).draw(info)
    again = read_again(training.images[: READ_AGAIN * params.pictures], info, np.random.default_rng(params.seed))
    others = draw_trained(params.pictures, info, seed=params.seed)
    images = torch.cat([training.images, drawn.images, again, others])
    rows = torch.arange(len(images))
    labels = (rows < len(images) - len(others)).long()
    return Examples(Split(images, labels), torch.where(rows < len(training.labels), 1, params.repeats))


def fit_detector(examples: Examples, params: Detector) -> nn.Sequential:
    """Train a detector: binary cross-entropy, Adam, a one-cycle learning rate."""
=======
    drawn = torch.cat([draw(kind, pictures, seed=seed) for kind in TRAINED])
    turned = torch.cat([side.rot90(turns, (2, 3)) for side in (drawn, drawn.flip(3)) for turns in range(4)])
    some = digits.take(torch.arange(min(8 * pictures, len(digits.labels))))
    jumbled = jumble(some.images, some.labels, seed=seed)
    groups = [(digits.images, 1.0), (turned, 0.0), (jumbled, 0.0)]
    if centred:
        groups.append((redraw(some.images[: 4 * pictures], seed=seed), 1.0))
        groups.append((redraw(torch.cat([drawn, jumbled[:pictures]]), seed=seed + 1), 0.0))
    inputs = torch.cat([to_inputs(images, digits.shape) for images, _ in groups])
    return inputs, torch.cat([torch.full((len(images),), label) for images, label in groups])


def to_inputs(images: Tensor, shape: Shape) -> Tensor:
    """Return images, uint8 [N,C,H,W], as the detector's first two layers pass them on, float32 [N,inputs].

    Those layers learn nothing, so one pass serves all epochs. It takes the images in pieces: at their full size all of
    them together need several times the memory.
    """
    pieces = images.split(PIECE)
    return torch.cat([avg_pool2d(scale(as_shape(piece, shape)), 2).flatten(start_dim=1) for piece in pieces])


def fit_detector(inputs: Tensor, labels: Tensor, shape: Shape, params: Detector) -> nn.Sequential:
    """Train a detector on inputs [N,inputs] and labels [N]: binary cross-entropy, Adam, a one-cycle learning rate."""
>>>>>>> 7ed53f6159f9e4b671fe176442a1f6ca261b8610
    torch.manual_seed(params.seed)
    detector = build_detector(examples.split.shape, hidden=params.hidden)
    rows = torch.arange(len(examples.repeats)).repeat_interleave(examples.repeats)
    optimizer = Adam(detector.parameters(), lr=params.learning_rate, fused=True)
<<<<<<< HEAD
    steps = params.epochs * math.ceil(len(rows) / params.batch_size)
    schedule = OneCycleLR(optimizer, params.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(params.seed)
    for _ in range(params.epochs):
        order = rows[torch.randperm(len(rows), generator=generator)]
        for images, labels, _rows in batches(
            examples.split, order, batch_size=params.batch_size, generator=generator, augment=params.augment
        ):
            loss = binary_cross_entropy_with_logits(detector(images)[:, 0], labels.float())
=======
    steps = params.epochs * -(-len(labels) // params.batch_size)
    schedule = OneCycleLR(optimizer, params.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(params.seed)
    network = detector[2:]
    for _ in range(params.epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(params.batch_size):
            loss = binary_cross_entropy_with_logits(network(inputs.index_select(0, rows))[:, 0], labels[rows])
>>>>>>> 7ed53f6159f9e4b671fe176442a1f6ca261b8610
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return detector


def main() -> None:
    """Write `models/detector.safetensors`."""
    params, info = load_params(Params), load_dataset_info(DATASET_FILE)
<<<<<<< HEAD
    images = load_split(TRAIN_FILE, info)
    training, _ = train_val_split(images, validation=params.data.validation, seed=params.data.split_seed)
    examples = detector_examples(training, info, params.detector)
    digits = int(examples.split.labels.sum())
    print(f"{digits:,} digits and {len(examples.repeats) - digits:,} other pictures")
    save_tensors(DETECTOR_FILE, KIND, fit_detector(examples, params.detector).state_dict())
=======
    everything = load_split(TRAIN_FILE, info)
    training, _ = train_val_split(everything, validation=params.data.validation, seed=params.data.split_seed)
    inputs, labels = detector_examples(
        training, centred=info.centred, pictures=params.detector.pictures, seed=params.detector.seed
    )
    print(f"{int(labels.sum()):,} digits and {int((labels == 0).sum()):,} other pictures")
    detector = fit_detector(inputs, labels, info.shape, params.detector)
    save_tensors(DETECTOR_FILE, KIND, detector.state_dict())
>>>>>>> 7ed53f6159f9e4b671fe176442a1f6ca261b8610


if __name__ == "__main__":
    run(main)
