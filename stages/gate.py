"""Stage `gate`: a second, smaller network that tells digits from what is none.

A classifier has an answer for everything, a letter or a scribble too, and is often sure of it. The gate is
asked first: it has seen digits and made-up non-digits, at half the resolution, where strokes count
and not how their edges are shaded. It knows nothing of the classifier, and serves any.
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.lr_scheduler import OneCycleLR

from stages.data import Split, hold_out, load_split, scale
from stages.model import load_weights
from stages.nondigits import TRAINED, draw, jumble, redraw
from stages.objective import build_optimizer
from stages.params import Gate, load_params
from stages.stage import GATE_FILE, TRAIN_FILE, run
from stages.tensors import save_tensors

KIND = "gate weights"


def build_gate(*, hidden: int) -> nn.Sequential:
    """Return the untrained gate, scaled images float32 [B,1,28,28] -> logits [B,1], above 0 for a digit."""
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(14 * 14, hidden), nn.ReLU(), nn.Linear(hidden, 1))


def load_gate(path: Path, *, hidden: int) -> nn.Sequential:
    """Return the trained gate of a file; raises StageError as `load_weights` does."""
    return load_weights(build_gate(hidden=hidden), path, KIND)


def gate_examples(digits: Split, *, pictures: int, seed: int) -> Split:
    """Return digits, label 1, and non-digits, label 0: uint8 [N,1,28,28], int64 [N].

    Args:
        digits: what the classifier learns from.
        pictures: how many of each kind of figure are drawn; each is turned and mirrored eight ways.
        seed: the same seed gives the same pictures.

    """
    drawn = torch.cat([draw(kind, pictures, seed=seed) for kind in TRAINED])
    turned = torch.cat([side.rot90(turns, (2, 3)) for side in (drawn, drawn.flip(3)) for turns in range(4)])
    some = digits.take(torch.arange(min(8 * pictures, len(digits.labels))))
    jumbled = jumble(some.images, some.labels, seed=seed)
    pens = redraw(torch.cat([some.images[: 4 * pictures], drawn, jumbled[:pictures]]), seed=seed)
    positive = torch.cat([digits.images, pens[: min(4 * pictures, len(some.images))]])
    negative = torch.cat([turned, jumbled, pens[min(4 * pictures, len(some.images)) :]])
    labels = torch.cat([torch.ones(len(positive), dtype=torch.int64), torch.zeros(len(negative), dtype=torch.int64)])
    return Split(torch.cat([positive, negative]), labels)


def fit_gate(examples: Split, params: Gate) -> nn.Sequential:
    """Train a gate: binary cross-entropy, Adam, a one-cycle learning rate."""
    torch.manual_seed(params.seed)
    gate = build_gate(hidden=params.hidden)
    optimizer = build_optimizer(gate, learning_rate=params.learning_rate)
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
    params = load_params()
    everything = load_split(TRAIN_FILE, classes=len(params.data.labels))
    learn, _ = hold_out(everything, validation=params.data.validation, seed=params.data.split_seed)
    examples = gate_examples(learn, pictures=params.gate.pictures, seed=params.gate.seed)
    print(f"{int(examples.labels.sum()):,} digits and {int((examples.labels == 0).sum()):,} pictures of what is none")
    gate = fit_gate(examples, params.gate)
    save_tensors(GATE_FILE, KIND, gate.state_dict())


if __name__ == "__main__":
    run(main)
