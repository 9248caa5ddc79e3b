"""On a GPU, steps that are recorded and replayed do what they do one by one; there is none where CI runs."""

import pytest
import torch
from torch import nn

from stages import cuda_graph
from stages.augment import Augment
from stages.checkpoint import TrainState
from stages.data import Split, batches
from stages.objective import Objective
from stages.sampler import LossWeightedSampler
from stages.train import train_epoch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")

IMAGES, BATCH, EPOCHS = 500, 64, 3  # seven whole batches and a smaller one
OBJECTIVE = {
    "loss": {"kind": "cross_entropy", "label_smoothing": 0.0},
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "betas": [0.9, 0.99],
    "momentum": 0.9,
    "schedule": "one_cycle",
}
WARP = Augment(strength=1.0, elastic_alpha=1.0, elastic_sigma=4.0, group_size=32)
STILL = Augment(strength=0.0, elastic_alpha=0.0, elastic_sigma=4.0, group_size=32)


class Waits(nn.Module):
    """Reads a number from the GPU, which no recording can."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images."""
        assert float(images.max()) <= 1
        return images


def train(
    optimizer: str, *layers: nn.Module, record: bool, warp: Augment = STILL
) -> tuple[dict[str, torch.Tensor], torch.Tensor, float]:
    """Train on random images; return the weights, the losses of the last epoch, and the last learning rate."""
    torch.manual_seed(0)
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)).cuda()
    images = torch.randint(0, 256, (IMAGES, 1, 28, 28), dtype=torch.uint8)
    training = Split(images, torch.randint(0, 10, (IMAGES,))).to(torch.device("cuda"))
    objective = Objective.model_validate(OBJECTIVE | {"optimizer": optimizer})
    weights = objective.build_optimizer(model.parameters())
    scheduler = objective.build_scheduler(weights, steps=EPOCHS * -(-IMAGES // BATCH))
    sampler = LossWeightedSampler(IMAGES, power=0.5, device=torch.device("cuda"))
    state = TrainState(model, weights, scheduler, sampler, torch.Generator("cuda").manual_seed(0))
    loss_function = nn.CrossEntropyLoss()
    learn, augment = cuda_graph.record(train_epoch, warp, state) if record else (train_epoch, warp)
    for _ in range(EPOCHS):
        rows = sampler.draw(state.generator)
        shown = batches(training, rows, batch_size=BATCH, generator=state.generator, augment=augment)
        losses = learn(model, loss_function, weights, scheduler, sampler, shown)
    return model.state_dict(), losses, float(weights.param_groups[0]["lr"])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_recorded_steps_learn_what_steps_one_by_one_do(optimizer: str) -> None:
    weights, losses, rate = train(optimizer, record=False)
    recorded = train(optimizer, record=True)
    assert rate == pytest.approx(recorded[2], abs=1e-6)
    torch.testing.assert_close(recorded[1], losses, rtol=1e-3, atol=1e-3)
    for name, weight in weights.items():
        torch.testing.assert_close(recorded[0][name], weight, rtol=1e-2, atol=1e-3)


def test_what_waits_for_the_gpu_runs_unrecorded() -> None:
    losses = train("adamw", Waits(), record=False)[1]
    torch.testing.assert_close(train("adamw", Waits(), record=True, warp=WARP)[1], losses, rtol=0.1, atol=0.1)


def test_every_replay_warps_in_a_new_way() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    warp = cuda_graph.Recorded(lambda images: WARP(images, generator), generator)
    image = torch.zeros(1, 1, 28, 28, device="cuda")
    image[..., 8:20, 12:16] = 1
    warped = torch.stack([warp(image) for _ in range(20)]).flatten(1)
    assert len(warped.unique(dim=0)) == 20
