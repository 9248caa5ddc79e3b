"""Box 1: splits are disjoint, batches cover everything once, wrong data are named."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from stages.augment import Augment
from stages.data import (
    Batch,
    DatasetInfo,
    Split,
    batches,
    load_split,
    prefetch,
    save_split,
    scale,
    train_test_split,
    train_val_split,
)
from stages.io import StageError
from stages.sampler import LossWeightedSampler

INFO = DatasetInfo(name="made up", labels=tuple("0123456789"), shape=(1, 28, 28), centred=True, sha256={})


def make_split(count: int) -> Split:
    """Images that all differ: each holds its own number."""
    images = torch.arange(count).to(torch.uint8).view(count, 1, 1, 1).expand(count, 1, 28, 28).contiguous()
    return Split(images, torch.arange(count) % 10)


def in_order(split: Split, *, rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
    rows, generator = torch.arange(len(split.labels)), torch.Generator()
    return batches(split, rows, batch_size=32, generator=generator, rank=rank, world_size=world_size)


def rows_of(split: Split) -> set[int]:
    return set(split.images[:, 0, 0, 0].tolist())


def test_held_out_images_are_not_trained_on_and_none_is_lost() -> None:
    training, validation = train_val_split(make_split(200), validation=30, seed=1)
    assert len(training.labels) == 170
    assert len(validation.labels) == 30
    assert rows_of(training) | rows_of(validation) == set(range(200))


def test_the_seed_decides_what_is_held_out() -> None:
    first, again, other = (rows_of(train_val_split(make_split(200), validation=30, seed=seed)[1]) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("validation", "held_out"), [(1, 1), (99, 99), (0.1, 10), (0.08333, 8)])
def test_a_number_or_a_share_says_how_many_images_are_held_out(validation: float, held_out: int) -> None:
    training, drawn = train_val_split(make_split(100), validation=validation, seed=0)
    assert (len(training.labels), len(drawn.labels)) == (100 - held_out, held_out)


@pytest.mark.parametrize("validation", [100, 5_000, 0.001, 0.999])
def test_holding_out_all_images_or_none_is_an_error_that_says_what_is_allowed(validation: float) -> None:
    with pytest.raises(StageError, match=f"`data.validation` is {validation:g}, .* write a number from 1 to 99, or a"):
        train_val_split(make_split(100), validation=validation, seed=0)


@pytest.mark.parametrize(("sizes", "drawn"), [((60, 30, 10), (6, 3, 1)), ((100, 9, 1), (10, 1, 0))])
def test_each_label_gives_its_share_of_few_images(sizes: tuple[int, ...], drawn: tuple[int, ...]) -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor(sizes))
    split = Split(torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8), labels)
    for part in (train_val_split(split, validation=0.1, seed=0)[1], train_test_split(split, share=0.1, seed=0)[1]):
        assert part.labels.bincount(minlength=3).tolist() == [*drawn]


def test_many_images_of_each_label_are_drawn_plainly() -> None:
    """As it was before, so that MNIST's weights are the same bytes."""
    split = Split(torch.zeros(2_400, 1, 1, 1, dtype=torch.uint8), torch.arange(2_400) % 2)
    order = torch.randperm(2_400, generator=torch.Generator().manual_seed(3))[:100].sort().values
    assert train_val_split(split, validation=100, seed=3)[1].labels.tolist() == (order % 2).tolist()


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_neither_part_of_a_split_is_empty(share: float) -> None:
    training, test = train_test_split(make_split(6), share=share, seed=0)
    assert min(len(training.labels), len(test.labels)) >= 1
    assert rows_of(training) | rows_of(test) == set(range(6))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_each_batch_evenly(processes: int) -> None:
    split = make_split(102)
    shares = [list(in_order(split, rank=rank, world_size=processes)) for rank in range(processes)]
    whole = list(in_order(split))
    for batch, *parts in zip(whole, *shares, strict=True):
        sizes = {len(part.labels) for part in parts}
        assert sizes == {len(batch.labels) // processes}
        seen = [rows_of(Split(part.images.mul(255).round(), part.labels)) for part in parts]
        assert len(set.union(*seen)) == sum(map(len, seen))
        assert set.union(*seen) <= rows_of(Split(batch.images.mul(255).round(), batch.labels))


def test_an_epoch_sees_every_image_once_with_its_label_in_a_new_order() -> None:
    split = make_split(100)
    generator = torch.Generator().manual_seed(0)
    orders = []
    for _ in range(2):
        rows = LossWeightedSampler(100, power=0).draw(generator)
        drawn = list(batches(split, rows, batch_size=32, generator=generator))
        assert [len(batch.labels) for batch in drawn] == [32, 32, 32, 4]
        numbers = torch.cat([batch.images[:, 0, 0, 0] for batch in drawn]).mul(255).round().long()
        assert torch.equal(torch.cat([batch.labels for batch in drawn]), numbers % 10)
        assert sorted(numbers.tolist()) == list(range(100))
        orders.append(numbers.tolist())
    assert orders[0] != orders[1]


def test_scaling_is_that_of_torchvisions_to_tensor() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    scaled = scale(levels)
    assert scaled.dtype == torch.float32
    assert torch.equal(scaled, levels.to(torch.float32).div(255))


@pytest.mark.parametrize(
    "split",
    [
        Split(torch.zeros(0, 1, 28, 28, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)),
        Split(torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)),
        Split(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64)),
        Split(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 1, 10])),
    ],
)
def test_a_split_of_the_wrong_shape_or_labels_is_refused(tmp_path: Path, split: Split) -> None:
    path = tmp_path / "train.safetensors"
    save_split(path, split)
    with pytest.raises(StageError, match=r"train\.safetensors"):
        load_split(path, INFO)


def test_the_test_split_in_place_of_the_training_split_is_named(tmp_path: Path) -> None:
    save_split(tmp_path / "test.safetensors", make_split(10))
    (tmp_path / "test.safetensors").rename(tmp_path / "train.safetensors")
    with pytest.raises(StageError, match="holds test split instead of train split"):
        load_split(tmp_path / "train.safetensors", INFO)


def test_images_with_a_high_loss_are_drawn_more_often_and_the_others_still_are() -> None:
    sampler, generator = LossWeightedSampler(1_000, power=0.5), torch.Generator().manual_seed(0)
    hard, labels = torch.arange(1_000) < 100, torch.zeros(64, dtype=torch.int64)
    for rows in sampler.draw(generator).split(64):
        logits = torch.zeros(len(rows), 10)
        logits[:, 0] = torch.where(hard[rows], -2.0, 12.0)
        sampler.update(rows, logits, labels[: len(rows)])
    drawn = [torch.bincount(sampler.draw(generator), minlength=1_000) for _ in range(20)]
    seen = torch.stack(drawn).double().mean(dim=0)
    assert seen[hard].mean() > 1.5 * seen[~hard].mean()
    assert seen[~hard].mean() > 0.1


def test_images_of_which_nothing_is_left_to_learn_are_still_drawn() -> None:
    sampler = LossWeightedSampler(20, power=0.5)
    sampler.losses.zero_()  # as 150 visits without any loss leave them
    assert len(sampler.draw(torch.Generator())) == 20


def test_a_single_image_at_the_end_is_left_out_unless_batches_are_of_one() -> None:
    assert [len(batch.labels) for batch in in_order(make_split(65))] == [32, 32]
    ones = batches(make_split(3), torch.arange(3), batch_size=1, generator=torch.Generator())
    assert [len(batch.labels) for batch in ones] == [1, 1, 1]


def test_without_a_power_losses_change_nothing() -> None:
    sampler = LossWeightedSampler(100, power=0)
    sampler.update(torch.arange(10), torch.rand(10, 10), torch.zeros(10, dtype=torch.int64))
    assert torch.equal(sampler.losses, torch.ones(100))
    assert torch.equal(sampler.draw(torch.Generator()).sort().values, torch.arange(100))


def count_up(end: int) -> Iterator[Batch]:
    """Make batches that are numbered from 0; the one at `end` fails."""
    for number in range(end):
        yield Batch(torch.full((2, 1, 3, 3), float(number)), torch.tensor([number, 0]), torch.tensor([0, 1]))
    raise ValueError("no more ink")


def test_batches_made_ahead_are_the_same_in_the_same_order() -> None:
    split, augment = make_split(100), Augment(strength=0.6, elastic_alpha=1.0, elastic_sigma=4.0, group_size=16)
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    plain, ahead = (
        batches(split, torch.arange(100), batch_size=16, generator=generator, augment=augment)
        for generator in generators
    )
    for wanted, found in zip(plain, prefetch(ahead), strict=True):
        assert all(map(torch.equal, wanted, found))
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_a_failure_while_batches_are_made_ahead_reaches_the_loop_in_its_place() -> None:
    seen: list[int] = []
    with pytest.raises(ValueError, match="no more ink"):
        seen.extend(int(batch.labels[0]) for batch in prefetch(count_up(7)))
    assert seen == list(range(7))


def test_a_loop_that_ends_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    made = prefetch(count_up(1_000))
    next(made)
    assert threading.active_count() == before + 1
    made.close()
    assert threading.active_count() == before


def test_ctrl_c_in_the_loop_ends_the_thread_too() -> None:
    before = threading.active_count()

    def learn() -> None:
        for _ in prefetch(count_up(1_000)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn()
    assert threading.active_count() == before
