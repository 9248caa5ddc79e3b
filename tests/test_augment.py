"""How training images vary: the warp is PyTorch's own, the seed decides, nothing is lost where nothing is to vary."""

import pytest
import torch
from torch.nn.functional import grid_sample

from stages.augment import ROTATION, SHEAR, SHIFT, STRETCH, Augment, to_gather, warp


def make_augment(strength: float, elastic_alpha: float, group_size: int = 128) -> Augment:
    return Augment(strength=strength, elastic_alpha=elastic_alpha, elastic_sigma=4.0, group_size=group_size)


def make_images(count: int, shape: tuple[int, int, int] = (1, 28, 28)) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def test_a_warp_of_no_strength_leaves_the_images_as_they_are() -> None:
    images = make_images(70)
    varied = make_augment(0, 0)(images, torch.Generator())
    torch.testing.assert_close(varied, images)


def test_a_map_one_pixel_to_the_right_shifts_by_one_and_brings_in_black() -> None:
    images = make_images(3)
    rows, columns = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    pixels, weights = to_gather(torch.stack([rows, columns + 1])[None])
    shifted = warp(images.view(3, -1).T, pixels[0], weights[0]).T.view(3, 1, 28, 28)
    torch.testing.assert_close(shifted[..., :-1], images[..., 1:])
    assert not shifted[..., -1].any()


def test_it_is_the_bilinear_interpolation_of_pytorch_for_any_shape() -> None:
    images = make_images(5, (3, 20, 31))
    augment = make_augment(1, 2)
    rows, columns = augment.draw_maps(1, 20, 31, torch.Generator().manual_seed(1))[0]
    grid = torch.stack([2 * columns / 30 - 1, 2 * rows / 19 - 1], dim=2).expand(5, -1, -1, -1)
    wanted = grid_sample(images, grid, align_corners=True)
    torch.testing.assert_close(augment(images, torch.Generator().manual_seed(1)), wanted, atol=1e-4, rtol=0)


def test_the_seed_decides_and_each_group_is_warped_its_own_way() -> None:
    augment = make_augment(1, 1, group_size=2)
    images = make_images(1).expand(4, -1, -1, -1)
    first, again, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])


def test_a_pixel_is_moved_as_far_as_is_asked_for() -> None:
    generator, augment = torch.Generator().manual_seed(0), make_augment(0, 1.5)
    maps = augment.draw_maps(400, 28, 28, generator)
    assert abs(maps.std(dim=0).mean().item() - 1.5) < 0.1


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_turning_slanting_and_stretching_stay_within_what_the_strength_allows(strength: float) -> None:
    generator, augment = torch.Generator().manual_seed(0), make_augment(strength, 0)
    maps = augment.draw_maps(1_000, 29, 29, generator)
    shift = (maps[:, :, 14, 14] - 14).abs().max()
    assert 0.9 < shift / (strength * SHIFT * 29) <= 1 + 1e-4
    corner = (maps[:, :, 0, 0] - maps[:, :, 14, 14] + 14).abs().max()  # as far as it moves against the middle
    furthest = 14 * strength * ((ROTATION + SHEAR) * (1 + strength * STRETCH) + STRETCH)
    assert 0.6 < corner / furthest <= 1
