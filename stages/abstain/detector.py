"""Stage `detector`: a second, smaller network that tells digits from everything else.

A classifier answers for every picture, also for a letter or a scribble, and is often sure of it. The detector has
learned from digits and from pictures that are not digits. It does not depend on the classifier.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from stages.abstain.ood_images import TRAINED, as_shape, draw, jumble, redraw
from stages.config import Count, Rate, Section, Seed, Width, load_params
from stages.data import Data, Shape, Split, load_dataset_info, load_split, scale, train_val_split
from stages.io import DATASET_FILE, DETECTOR_FILE, TRAIN_FILE, run, save_tensors
from stages.models.detector import KIND, build_detector

PIECE = 1000  # images


class Detector(Section):
    """The second network, of one hidden layer, and how it is trained; `pictures` are drawn of each kind."""

    pictures: Count
    hidden: Width
    learning_rate: Rate
    epochs: Count
    batch_size: Count
    seed: Seed


class Params(Section):
    """What the stage uses."""

    data: Data
    detector: Detector


def detector_examples(digits: Split, *, centred: bool, pictures: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return digits and other pictures as inputs, float32 [N,inputs], and labels, float32 [N], 1 for a digit.

    Args:
        digits: the images that the classifier learns from; those of another data set take the digits' place.
        centred: they are drawn with a pen and framed as MNIST's; then some are also redrawn with other pens.
        pictures: how many of each kind of figure are drawn; each is turned and mirrored eight ways.
        seed: the same seed gives the same pictures.

    """
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
    torch.manual_seed(params.seed)
    detector = build_detector(shape, hidden=params.hidden)
    optimizer = Adam(detector.parameters(), lr=params.learning_rate, fused=True)
    steps = params.epochs * -(-len(labels) // params.batch_size)
    schedule = OneCycleLR(optimizer, params.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(params.seed)
    network = detector[2:]
    for _ in range(params.epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(params.batch_size):
            loss = binary_cross_entropy_with_logits(network(inputs.index_select(0, rows))[:, 0], labels[rows])
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
    inputs, labels = detector_examples(
        training, centred=info.centred, pictures=params.detector.pictures, seed=params.detector.seed
    )
    print(f"{int(labels.sum()):,} digits and {int((labels == 0).sum()):,} other pictures")
    detector = fit_detector(inputs, labels, info.shape, params.detector)
    save_tensors(DETECTOR_FILE, KIND, detector.state_dict())


if __name__ == "__main__":
    run(main)
