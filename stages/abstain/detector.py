"""Stage `detector`: a second, smaller network that tells digits from what is none.

A classifier has an answer for everything, a letter or a scribble too, and is often sure of it. The detector is
asked first: it has seen digits and made-up non-digits, at half the resolution, where strokes count
and not how their edges are shaded. It knows nothing of the classifier, and serves any.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from stages.abstain.ood_images import TRAINED, as_shape, draw, jumble, redraw
from stages.config import Count, Rate, Section, Seed, Width, load_params
from stages.data import Data, Shape, Split, load_dataset_info, load_split, scale, train_val_split
from stages.io import DATASET_FILE, DETECTOR_FILE, TRAIN_FILE, run, save_tensors
from stages.models.detector import KIND, build_detector, count_inputs

PIECE = 1000  # pictures that are brought to shape at once


class Detector(Section):
    """The second network, of one hidden layer, and how it is trained; `pictures` are drawn of each kind."""

    pictures: Count
    hidden: Width
    learning_rate: Rate
    epochs: Count
    batch_size: Count
    seed: Seed


class Examples(NamedTuple):
    """Inputs, float32 [N,inputs], and labels, float32 [N], 1 for a digit and 0 for none."""

    inputs: Tensor
    labels: Tensor


class Params(Section):
    """What the stage uses."""

    data: Data
    detector: Detector


def detector_examples(digits: Split, *, centred: bool, pictures: int, seed: int) -> Examples:
    """Return digits and non-digits as the detector sees them, at half the resolution.

    Of another data set its images stand for the digits.

    Args:
        digits: what the classifier learns from.
        centred: they are drawn with a pen and placed as MNIST's: other pens make more of them.
        pictures: how many of each kind of figure are drawn; each is turned and mirrored eight ways.
        seed: the same seed gives the same pictures.

    """
    drawn = torch.cat([draw(kind, pictures, seed=seed) for kind in TRAINED])
    turned = torch.cat([side.rot90(turns, (2, 3)) for side in (drawn, drawn.flip(3)) for turns in range(4)])
    some = digits.take(torch.arange(min(8 * pictures, len(digits.labels))))
    jumbled = jumble(some.images, some.labels, seed=seed)
    positive, negative = [digits.images], [turned, jumbled]
    if centred:
        pens = redraw(torch.cat([some.images[: 4 * pictures], drawn, jumbled[:pictures]]), seed=seed)
        digits_redrawn = min(4 * pictures, len(some.images))
        positive.append(pens[:digits_redrawn])
        negative.append(pens[digits_redrawn:])
    inputs = to_inputs([*positive, *negative], digits.shape)
    return Examples(inputs, (torch.arange(len(inputs)) < sum(map(len, positive))).float())


def to_inputs(groups: Sequence[Tensor], shape: Shape) -> Tensor:
    """Bring pictures, groups of uint8 [N,C,H,W], to a data set's shape and through the detector's first two layers.

    Those have nothing to learn, so it is done once and not in every epoch; piece by piece, for at their full size all
    pictures take several times the memory.
    """
    halve = nn.Sequential(nn.AvgPool2d(2), nn.Flatten())
    inputs = torch.empty(sum(map(len, groups)), count_inputs(shape))
    pieces = [piece for pictures in groups for piece in pictures.split(PIECE)]
    for place, piece in zip(inputs.split([*map(len, pieces)]), pieces, strict=True):
        place[:] = halve(scale(as_shape(piece, shape)))
    return inputs


def fit_detector(examples: Examples, shape: Shape, params: Detector) -> nn.Sequential:
    """Train a detector for images of a shape: binary cross-entropy, Adam, a one-cycle learning rate."""
    torch.manual_seed(params.seed)
    detector = build_detector(shape, hidden=params.hidden)
    optimizer = Adam(detector.parameters(), lr=params.learning_rate, fused=True)
    steps = params.epochs * -(-len(examples.labels) // params.batch_size)
    schedule = OneCycleLR(optimizer, params.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(params.seed)
    network = detector[2:]
    inputs, wanted = examples
    for _ in range(params.epochs):
        for rows in torch.randperm(len(wanted), generator=generator).split(params.batch_size):
            loss = binary_cross_entropy_with_logits(network(inputs.index_select(0, rows))[:, 0], wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return detector


def main() -> None:
    """Write `models/detector.safetensors`."""
    params, info = load_params(Params), load_dataset_info(DATASET_FILE)
    everything = load_split(TRAIN_FILE, info)
    training, _ = train_val_split(everything, validation=params.data.validation, seed=params.data.split_seed)
    examples = detector_examples(
        training, centred=info.centred, pictures=params.detector.pictures, seed=params.detector.seed
    )
    print(f"{int(examples.labels.sum()):,} digits and {int((examples.labels == 0).sum()):,} pictures of what is none")
    detector = fit_detector(examples, info.shape, params.detector)
    save_tensors(DETECTOR_FILE, KIND, detector.state_dict())


if __name__ == "__main__":
    run(main)
