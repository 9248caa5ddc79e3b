"""Boxes 2 to 4: the network, its objective, and a loop that learns and complains when it does not."""

import math
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.prune import l1_unstructured

from stages import download, train
from stages.checkpoint import Epoch, own_copies
from stages.data import load_dataset_info, load_split, prefetch, train_val_split
from stages.io import TEST_FILE, TRAIN_FILE, WEIGHTS_FILE, StageError, save_tensors
from stages.losses.cross_entropy import CrossEntropy
from stages.models import KIND
from stages.models.inference import load_weights, predict
from stages.models.mlp import Mlp
from stages.sanity import check_losses
from tests.conftest import edit_params, make_objective

SHAPE = (1, 28, 28)


def build_model(hidden: int = 128) -> nn.Sequential:
    return Mlp(kind="mlp", hidden=(hidden,)).build(SHAPE, 10)


def test_the_network_is_the_tutorials() -> None:
    model = build_model()
    assert [type(layer) for layer in model] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]
    assert sum(weights.numel() for weights in model.parameters()) == 101_770


def test_weights_that_layers_share_or_that_lie_in_another_order_can_be_saved(tmp_path: Path) -> None:
    block = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    convolution = nn.Conv2d(3, 4, 3)
    convolution.weight.data = convolution.weight.data.contiguous(memory_format=torch.channels_last)
    for model in (nn.Sequential(block, block), convolution):
        save_tensors(tmp_path / "weights", KIND, own_copies(model))
        assert load_weights(model, tmp_path / "weights", KIND) is model


@pytest.mark.parametrize("kind", ["lazy", "pruned"])
def test_layers_that_are_complete_after_their_first_images_can_be_trained(
    project: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def build(*_: object) -> nn.Module:
        last = nn.LazyLinear(10) if kind == "lazy" else l1_unstructured(nn.Linear(28 * 28, 10), "weight", amount=0.5)
        return nn.Sequential(nn.LazyBatchNorm2d() if kind == "lazy" else nn.ReLU(), nn.Flatten(), last)

    monkeypatch.setattr(Mlp, "build", build)
    edit_params(project, train__epochs=1)
    download.main()
    train.main()
    assert WEIGHTS_FILE.exists()


def test_predicting_neither_learns_nor_leaves_the_mode_changed() -> None:
    model = nn.Sequential(build_model(8), nn.Dropout(0.5))
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    model.train()
    logits = predict(model, images)
    assert not logits.requires_grad
    assert torch.equal(logits, predict(model, images))
    assert model.training


def test_the_loss_is_the_cross_entropy_of_its_definition() -> None:
    logits, labels = torch.randn(6, 10), torch.randint(0, 10, (6,))
    by_hand = -logits.softmax(dim=1)[range(6), labels].log().mean()
    torch.testing.assert_close(CrossEntropy(kind="cross_entropy", label_smoothing=0.0).build()(logits, labels), by_hand)


def test_one_step_of_the_optimizer_is_adams_formula() -> None:
    model = nn.Linear(3, 1)
    before = model.weight.detach().clone()
    objective = make_objective(learning_rate=0.1)
    optimizer = objective.build_optimizer(model.parameters())
    model(torch.tensor([[1.0, -2.0, 3.0]])).sum().backward()
    optimizer.step()
    torch.testing.assert_close(model.weight, before - 0.1 * torch.tensor([[1.0, -1.0, 1.0]]))


def test_the_loop_learns_what_can_be_learned(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_params(project, train__epochs=4)
    download.main()
    train.main()
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("epoch ") for line in lines) == 4
    assert lines[-1].startswith("epoch 4/4 | avg loss 0.")
    history = Path("reports/history.csv").read_text().splitlines()
    assert history[0] == "epoch,train_loss,val_loss,val_accuracy"
    assert len(history) == 5
    losses = [float(line.split(",")[1]) for line in history[1:]]
    assert losses == sorted(losses, reverse=True)
    test = load_split(TEST_FILE, load_dataset_info())
    logits = predict(load_weights(build_model(), WEIGHTS_FILE, KIND), test.images)
    assert (logits.argmax(dim=1) == test.labels).float().mean() > 0.99


@pytest.mark.usefixtures("project")
def test_the_reported_validation_loss_is_that_of_the_saved_weights() -> None:
    download.main()
    train.main()
    everything = load_split(TRAIN_FILE, load_dataset_info())
    held_out = train_val_split(everything, validation=100, seed=0)[1]
    logits = predict(load_weights(build_model(), WEIGHTS_FILE, KIND), held_out.images)
    last = Path("reports/history.csv").read_text().splitlines()[-1].split(",")
    assert float(last[2]) == pytest.approx(cross_entropy(logits, held_out.labels).item(), abs=1e-6)


def test_training_never_opens_the_test_file(project: Path) -> None:
    download.main()
    (project / TEST_FILE).unlink()
    (project / TEST_FILE).mkdir()  # whoever opens it now fails
    train.main()
    assert (project / WEIGHTS_FILE).exists()


@pytest.mark.parametrize(("strength", "epochs"), [(0.0, 0), (0.6, 2)])
def test_batches_are_made_ahead_only_where_there_is_something_to_make(
    project: Path, monkeypatch: pytest.MonkeyPatch, strength: float, epochs: int
) -> None:
    edit_params(project, data__augment__strength=strength)
    download.main()
    ahead = Mock(wraps=prefetch)
    monkeypatch.setattr(train, "prefetch", ahead)
    train.main()
    assert ahead.call_count == epochs


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_suspects(project: Path) -> None:
    download.main()

    class NoNumber(nn.CrossEntropyLoss):
        def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return super().forward(logits, labels) * math.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CrossEntropy, "build", lambda _: NoNumber())
        with pytest.raises(StageError, match=r"loss of epoch 1 is nan.*learning rate.*order in the loop.*data"):
            train.main()
    assert not (project / WEIGHTS_FILE).exists()


def test_a_validation_loss_that_is_not_a_number_is_named() -> None:
    epoch = Epoch(epoch=3, train_loss=0.5, val_loss=math.nan, val_accuracy=0.1)
    with pytest.raises(StageError, match=r"loss of epoch 3 is 0\.5 in training and nan in validation; suspects"):
        list(check_losses(epoch, first=None, steps=1, last=False))


def test_a_loss_that_does_not_fall_is_warned_of(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_params(project, objective__learning_rate=10.0)
    download.main()
    train.main()
    warning = capsys.readouterr().err
    assert "has not fallen below its start" in warning
    assert "learning rate" in warning


def test_the_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_tensors(path, "weights", build_model(16).state_dict())
    with pytest.raises(StageError, match=r"weights\.safetensors holds the weights of another network"):
        load_weights(build_model(32), path, KIND)
