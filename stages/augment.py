"""Box 1, how training images are augmented: rotated, stretched, sheared, shifted, and distorted elastically.

Every batch is warped in a new way. A warp is computed once for a group of images, and is then a gather and a weighted
sum for all of them, which costs less than the network does; a warp for each image takes several times as long.

Source: P. Simard et al., Best practices for convolutional neural networks applied to visual document analysis,
ICDAR 2003, for the elastic distortions; theirs differ from image to image.
"""

from functools import cache
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import embedding_bag

from stages.config import Count, Section

ROTATION, SHEAR, STRETCH, SHIFT = 0.25, 0.25, 0.15, 2 / 28  # largest, at strength 1: radians, shares of the sides


class Augment(Section):
    """How training images are augmented; with both strengths 0 they stay as they are.

    Attributes:
        strength: of rotation, shear, stretching and shifts; at 1 up to 14 degrees, 0.25, 15 % and two pixels of 28.
        elastic_alpha: standard deviation of the elastic displacement of a pixel, in pixels.
        elastic_sigma: over how many pixels neighbouring displacements are alike.
        group_size: how many images of a batch share one warp.
        beyond: what lies beyond an image's border, as `suit` sets it.

    """

    strength: Annotated[float, Field(ge=0, le=2)]
    elastic_alpha: Annotated[float, Field(ge=0, le=10)]
    elastic_sigma: Annotated[float, Field(gt=0, le=100)]
    group_size: Count
    beyond: Literal["black", "border"] = "black"

    def suit(self, *, centred: bool) -> "Augment":
        """Return what suits a data set: beyond MNIST's images it is black, others go on as they are at their border."""
        return self if centred else self.model_copy(update={"beyond": "border"})

    @property
    def warps(self) -> bool:
        """Whether it changes images at all."""
        return self.strength > 0 or self.elastic_alpha > 0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the images, float [B,C,H,W], warped."""
        if not self.warps:
            return images
        count, channels, height, width = images.shape
        rows, size = images.reshape(count * channels, height * width), self.group_size * channels
        groups, warped = rows.split(size), torch.empty_like(rows)
        maps = self.draw_maps(len(groups), height, width, generator)
        gathers = zip(*to_gather(maps, black=self.beyond == "black"), strict=True)
        for group, out, (pixels, weights) in zip(groups, warped.split(size), gathers, strict=True):
            out.copy_(warp(group.T, pixels, weights).T)  # here, where another thread does it, not in the network
        return warped.view_as(images)

    def draw_maps(self, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
        """Return where each pixel of a warped image comes from, row and column, float [count,2,H,W]."""
        device = generator.device
        drawn = (2 * torch.rand(6, count, 1, 1, generator=generator, device=device) - 1) * self.strength
        turn, slant, tall, wide, down, right = drawn.unbind()
        sine, cosine = (turn * ROTATION).sin(), (turn * ROTATION).cos()
        tall, wide, slant = 1 + tall * STRETCH, 1 + wide * STRETCH, slant * SHEAR
        rows = (torch.arange(height, device=device) - (height - 1) / 2)[:, None]
        columns = (torch.arange(width, device=device) - (width - 1) / 2)[None, :]
        from_row = sine * wide * columns + (cosine + sine * slant) * tall * rows + down * SHIFT * height
        from_column = cosine * wide * columns + (cosine * slant - sine) * tall * rows + right * SHIFT * width
        straight = torch.stack([from_row + (height - 1) / 2, from_column + (width - 1) / 2], dim=1)
        noise = torch.randn(count, 2, height, width, generator=generator, device=device)
        bent = _smooth(_smooth(noise, self.elastic_sigma).mT, self.elastic_sigma).mT
        return straight + self.elastic_alpha * bent


def _smooth(noise: Tensor, deviation: float) -> Tensor:
    """Smooth the rows of [...,length], in one product of two matrices, which oneDNN computes."""
    length = noise.shape[-1]
    return (noise.reshape(-1, length) @ _smoothing(length, deviation, noise.device).T).view(noise.shape)


@cache
def _smoothing(length: int, deviation: float, device: torch.device) -> Tensor:
    """Return the Gaussian filter of a line as a matrix [length,length], its output of variance 1 for white noise."""
    places = torch.arange(length, device=device)
    distance = places[:, None] - places[None, :]
    weights = torch.exp(-(distance**2) / (2 * deviation**2))
    return weights * weights.square().sum(dim=1, keepdim=True).rsqrt()  # MKL's `sqrt` differs by the processor's maker


def to_gather(maps: Tensor, *, black: bool = True) -> tuple[Tensor, Tensor]:
    """Return the four pixels around each place of maps [n,2,H,W], and their weights for bilinear interpolation.

    Both are [n,H*W,4]. Beyond the border there is black, of weight 0, or else the nearest pixel.
    """
    height, width = maps.shape[2:]
    corner = maps.flatten(2).floor()
    below, right = (maps.flatten(2) - corner).unbind(dim=1)
    row, column = corner.long().unbind(dim=1)
    rows = torch.stack([row, row, row + 1, row + 1], dim=2)
    columns = torch.stack([column, column + 1, column, column + 1], dim=2)
    above, left = 1 - below, 1 - right
    weights = torch.stack([above * left, above * right, below * left, below * right], dim=2)
    if black:
        weights = weights * ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width))
    return rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1), weights


def warp(columns: Tensor, pixels: Tensor, weights: Tensor) -> Tensor:
    """Make each pixel of images of four of them, the same for all.

    Args:
        columns: float [H*W,B], an image a column.
        pixels: int64 [H*W,4], rows of `columns`.
        weights: float [H*W,4], theirs.

    """
    warped: Tensor = embedding_bag(pixels, columns.contiguous(), per_sample_weights=weights, mode="sum")
    return warped
