"""Boxes 2 to 4: each thing that they can hold does what its name says."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from stages.data import Split
from stages.losses.cross_entropy import CrossEntropy
from stages.models.cnn import Cnn
from stages.models.linear import Linear
from stages.models.mlp import Mlp
from stages.sanity import check
from tests.conftest import make_objective

PLAIN = CrossEntropy(kind="cross_entropy", label_smoothing=0.0)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 21, 30)])
@pytest.mark.parametrize(
    "box",
    [Mlp(kind="mlp", hidden=(16, 8)), Cnn(kind="cnn", channels=(4, 8), kernel=3, hidden=16), Linear(kind="linear")],
)
def test_every_model_takes_any_shape_and_number_of_classes(
    box: Mlp | Cnn | Linear, shape: tuple[int, int, int]
) -> None:
    assert box.build(shape, 7)(torch.rand(5, *shape)).shape == (5, 7)


def test_label_smoothing_is_pytorchs() -> None:
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    box = CrossEntropy(kind="cross_entropy", label_smoothing=0.1)
    wanted = cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(box.build()(logits, labels), wanted)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_the_optimizers_are_pytorchs(name: str, kind: str) -> None:
    objective = make_objective(optimizer=name, learning_rate=0.25, weight_decay=0.125)
    (group,) = objective.build_optimizer(nn.Linear(2, 2).parameters()).param_groups
    assert type(objective.build_optimizer(nn.Linear(2, 2).parameters())).__name__ == kind
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.25, 0.125, True)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_plain_unless_it_has_momentum_which_is_nesterovs(momentum: float) -> None:
    objective = make_objective(optimizer="sgd", learning_rate=0.1, momentum=momentum)
    (group,) = objective.build_optimizer(nn.Linear(2, 2).parameters()).param_groups
    assert (group["momentum"], group["nesterov"]) == (momentum, momentum > 0)


@pytest.mark.parametrize("steps", range(2, 31))
def test_a_one_cycle_learning_rate_has_any_number_of_steps(steps: int) -> None:
    objective = make_objective(optimizer="sgd", learning_rate=0.5, schedule="one_cycle")
    optimizer = objective.build_optimizer(nn.Linear(2, 2).parameters())
    schedule = objective.build_scheduler(optimizer, steps=steps)
    for _ in range(steps - 1):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "highest_at", "last"), [("constant", 0, 0.5), ("cosine", 0, 0.0), ("one_cycle", 9, 0.0)]
)
def test_the_schedules_start_rise_and_end_as_they_should(name: str, highest_at: int, last: float) -> None:
    objective = make_objective(optimizer="sgd", learning_rate=0.5, schedule=name)
    optimizer = objective.build_optimizer(nn.Linear(2, 2).parameters())
    schedule = objective.build_scheduler(optimizer, steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(0.5, rel=0.01)
    assert abs(rates.index(max(rates)) - highest_at) <= 1
    assert rates[-1] == pytest.approx(last, abs=0.01)


def weights_of(model: nn.Module) -> torch.Tensor:
    return torch.cat([weights.detach().flatten() for weights in model.parameters()])


def make_batch() -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 1, 28, 28), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(64) % 10)


def test_the_sanity_checks_find_nothing_wrong_with_a_sound_network_and_leave_it_as_it_is() -> None:
    model = Mlp(kind="mlp", hidden=(64,)).build((1, 28, 28), 10)
    before, random_state = weights_of(model), torch.get_rng_state()
    objective = make_objective(optimizer="adam", learning_rate=0.001)
    assert check(model, PLAIN.build(), objective.build_optimizer, make_batch()) == []
    assert torch.equal(weights_of(model), before)
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize(
    ("layer", "rate", "words"),
    [
        (nn.Softmax(dim=1), 1e-6, "of them are right"),
        (nn.Identity(), 1e-7, "is the learning rate too high or too low"),
        (nn.Hardtanh(-9, 9), 0.001, ""),
    ],
)
def test_a_network_that_cannot_learn_one_batch_is_told(layer: nn.Module, rate: float, words: str) -> None:
    model = nn.Sequential(*Mlp(kind="mlp", hidden=(64,)).build((1, 28, 28), 10), layer)
    objective = make_objective(optimizer="adam", learning_rate=rate)
    found = check(model, PLAIN.build(), objective.build_optimizer, make_batch())
    assert words in " ".join(found)
    assert bool(found) == bool(words)


def test_a_first_loss_far_from_that_of_a_blind_guess_is_told() -> None:
    model = Mlp(kind="mlp", hidden=(64,)).build((1, 28, 28), 10)
    with torch.no_grad():
        next(reversed([*model.parameters()]))[0] = 20
    objective = make_objective(optimizer="adam", learning_rate=0.01)
    found = check(model, PLAIN.build(), objective.build_optimizer, make_batch())
    assert found[0].startswith("the first loss is ")
    assert "not near 2.30, that of a blind guess (for the cross-entropy ln(10))" in found[0]


def test_a_blind_guess_is_that_of_the_loss_in_use() -> None:
    class Brier(nn.Module):
        def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return (logits.softmax(dim=1) - one_hot(labels, logits.shape[1])).square().sum(dim=1).mean()

    model = Mlp(kind="mlp", hidden=(64,)).build((1, 28, 28), 10)
    objective = make_objective(optimizer="adam", learning_rate=0.001)
    assert check(model, Brier(), objective.build_optimizer, make_batch()) == []
