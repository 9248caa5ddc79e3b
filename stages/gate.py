"""Stage `gate`: a second, smaller network that tells digits from what is none.

A classifier has an answer for everything, a letter or a scribble too, and is often sure of it. The gate is
asked first: it has seen digits and made-up non-digits, at half the resolution, where strokes count
and not how their edges are shaded. It knows nothing of the classifier, and serves any.
"""

from pathlib import Path

import torch
from torch import nn
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


class Gate(Section):
    """The second network, of one hidden layer; `most_refused` is the share of digits that it may cost."""

    pictures: Count
    hidden: Width
    learning_rate: Rate
    epochs: Count
    batch_size: Count
    seed: Seed
    most_refused: Share


class Params(Section):
    """What the stage uses."""

    data: Data
    gate: Gate


def build_gate(shape: Shape, *, hidden: int) -> nn.Sequential:
    """Return the untrained gate, scaled images float32 [B,*shape] -> logits [B,1], above 0 for a digit."""
    channels, height, width = shape
    inputs = channels * (height // 2) * (width // 2)
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def load_gate(path: Path, shape: Shape, *, hidden: int) -> nn.Sequential:
    """Return the trained gate of a file; raises StageError as `load_weights` does."""
    return load_weights(build_gate(shape, hidden=hidden), path, KIND)


def gate_examples(digits: Split, *, centred: bool, pictures: int, seed: int) -> Split:
    """Return digits, label 1, and non-digits, label 0: uint8 [N,C,H,W], int64 [N].

    Of another data set its images stand for the digits.

    Args:
        digits: what the classifier learns from.
        centred: they are drawn with a pen and placed as MNIST's: other pens make more of them.
        pictures: how many of each kind of figure are drawn; each is turned and mirrored eight ways.
        seed: the same seed gives the same pictures.

    """
    shape = digits.images[0].shape
    drawn = torch.cat([draw(kind, pictures, seed=seed) for kind in TRAINED])
    turned = torch.cat([side.rot90(turns, (2, 3)) for side in (drawn, drawn.flip(3)) for turns in range(4)])
    some = digits.take(torch.arange(min(8 * pictures, len(digits.labels))))
    jumbled = jumble(some.images, some.labels, seed=seed)
    positive, negative = [digits.images], [as_shape(turned, (shape[0], shape[1], shape[2])), jumbled]
    if centred:
        pens = redraw(torch.cat([some.images[: 4 * pictures], drawn, jumbled[:pictures]]), seed=seed)
        digits_redrawn = min(4 * pictures, len(some.images))
        positive.append(pens[:digits_redrawn])
        negative.append(pens[digits_redrawn:])
    images = torch.cat([*positive, *negative])
    return Split(images, (torch.arange(len(images)) < sum(map(len, positive))).long())


def fit_gate(examples: Split, params: Gate) -> nn.Sequential:
    """Train a gate: binary cross-entropy, Adam, a one-cycle learning rate."""
    torch.manual_seed(params.seed)
    channels, height, width = examples.images[0].shape
    gate = build_gate((channels, height, width), hidden=params.hidden)
    optimizer = Adam(gate.parameters(), lr=params.learning_rate, fused=True)
    steps = params.epochs * -(-len(examples.labels) // params.batch_size)
    schedule = OneCycleLR(optimizer, params.learning_rate, total_steps=steps)
    generator = torch.Generator().manual_seed(params.seed)
    pooling, network = gate[:2], gate[2:]
    inputs = torch.cat([pooling(scale(images)) for images in examples.images.split(1000)])  # once, not in every epoch
    wanted = examples.labels.float()
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
    learn, _ = hold_out(everything, validation=params.data.validation, seed=params.data.split_seed)
    examples = gate_examples(learn, centred=facts.centred, pictures=params.gate.pictures, seed=params.gate.seed)
    print(f"{int(examples.labels.sum()):,} digits and {int((examples.labels == 0).sum()):,} pictures of what is none")
    gate = fit_gate(examples, params.gate)
    save_tensors(GATE_FILE, KIND, gate.state_dict())


if __name__ == "__main__":
    run(main)
