"""Stage `gate`: a second, smaller network that tells digits from what is none.

A classifier has an answer for everything, a letter or a scribble too, and is often sure of it. The gate is
asked first: it has seen digits and made-up non-digits, at half the resolution, where strokes count
and not how their edges are shaded. It knows nothing of the classifier, and serves any.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from stages.data import Data, Shape, Split, hold_out, load_facts, load_split, scale
from stages.network import load_weights
from stages.nondigits import TRAINED, as_shape, draw, jumble, redraw
from stages.params import Count, Rate, Section, Seed, Share, Width, load_params
from stages.stage import FACTS_FILE, GATE_FILE, TRAIN_FILE, run
from stages.tensors import save_tensors

KIND = "gate weights"
PIECE = 1000  # pictures that are brought to shape at once


class Gate(Section):
    """The second network, of one hidden layer; `most_refused` is the share of digits that it may cost."""

    pictures: Count
    hidden: Width
    learning_rate: Rate
    epochs: Count
    batch_size: Count
    seed: Seed
    most_refused: Share


class Examples(NamedTuple):
    """What the gate learns from: its inputs, float32 [N,inputs], and labels, float32 [N], 1 for a digit, 0 for none."""

    inputs: Tensor
    labels: Tensor


class Params(Section):
    """What the stage uses."""

    data: Data
    gate: Gate


def build_gate(shape: Shape, *, hidden: int) -> nn.Sequential:
    """Return the untrained gate, scaled images float32 [B,*shape] -> logits [B,1], above 0 for a digit."""
    inputs = _count_inputs(shape)
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def _count_inputs(shape: Shape) -> int:
    channels, height, width = shape
    return channels * (height // 2) * (width // 2)


def load_gate(path: Path, shape: Shape, *, hidden: int) -> nn.Sequential:
    """Return the trained gate of a file; raises StageError as `load_weights` does."""
    return load_weights(build_gate(shape, hidden=hidden), path, KIND)


def gate_examples(digits: Split, *, centred: bool, pictures: int, seed: int) -> Examples:
    """Return digits and non-digits as the gate sees them, at half the resolution.

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
    """Bring pictures, groups of uint8 [N,C,H,W], to a data set's shape and through the gate's first two layers.

    Those have nothing to learn, so it is done once and not in every epoch; piece by piece, for at their full size all
    pictures take several times the memory.
    """
    halve = nn.Sequential(nn.AvgPool2d(2), nn.Flatten())
    inputs = torch.empty(sum(map(len, groups)), _count_inputs(shape))
    pieces = [piece for pictures in groups for piece in pictures.split(PIECE)]
    for place, piece in zip(inputs.split([*map(len, pieces)]), pieces, strict=True):
        place[:] = halve(scale(as_shape(piece, shape)))
    return inputs


def fit_gate(examples: Examples, shape: Shape, params: Gate) -> nn.Sequential:
    """Train a gate for images of a shape: binary cross-entropy, Adam, a one-cycle learning rate."""
    torch.manual_seed(params.seed)
    gate = build_gate(shape, hidden=params.hidden)
    optimizer = Adam(gate.parameters(), lr=params.learning_rate, fused=True)
    steps = params.epochs * -(-len(examples.labels) // params.batch_size)
    schedule = OneCycleLR(optimizer, params.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(params.seed)
    network = gate[2:]
    inputs, wanted = examples
    for _ in range(params.epochs):
        for rows in torch.randperm(len(wanted), generator=generator).split(params.batch_size):
            loss = binary_cross_entropy_with_logits(network(inputs.index_select(0, rows))[:, 0], wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return gate


def main() -> None:
    """Write `models/gate.safetensors`."""
    params, facts = load_params(Params), load_facts(FACTS_FILE)
    everything = load_split(TRAIN_FILE, facts)
    training, _ = hold_out(everything, validation=params.data.validation, seed=params.data.split_seed)
    examples = gate_examples(training, centred=facts.centred, pictures=params.gate.pictures, seed=params.gate.seed)
    print(f"{int(examples.labels.sum()):,} digits and {int((examples.labels == 0).sum()):,} pictures of what is none")
    gate = fit_gate(examples, facts.shape, params.gate)
    save_tensors(GATE_FILE, KIND, gate.state_dict())


if __name__ == "__main__":
    run(main)
