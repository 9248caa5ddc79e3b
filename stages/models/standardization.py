"""The first layer of a model of other images than MNIST's: it brings their pixels to mean 0 and variance 1.

MNIST's are nearly that as they are, light on black. Without it a network learns badly from dark ink on a white page.
"""

import torch
from torch import Tensor, nn

LEAST = 1 / 255  # of the standard deviation: a channel may be the same everywhere


def standardization(channels: int, images: Tensor | None = None) -> nn.Conv2d:
    """Return a layer that is not trained, float32 [B,channels,H,W] -> the same, standardized channel by channel.

    It is a convolution of one pixel, since every runtime knows that.

    Args:
        channels: of the images.
        images: uint8 [N,channels,H,W], whose means and deviations it takes; without them its weights are to be loaded.

    """
    layer = nn.Conv2d(channels, channels, 1).requires_grad_(requires_grad=False)
    if images is not None:
        means, deviations = zip(*map(_moments, images.unbind(dim=1)), strict=True)
        scales = 1 / torch.tensor(deviations)
        layer.weight.copy_(torch.diag(scales)[:, :, None, None])
        assert layer.bias is not None  # noqa: S101 (what the constructor made)
        layer.bias.copy_(-torch.tensor(means) * scales)
    return layer


def _moments(levels: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of levels, uint8, as shares of 255."""
    shares = torch.bincount(levels.flatten(), minlength=256).double() / levels.numel()
    scaled = torch.arange(256).double() / 255
    mean = float(shares @ scaled)
    return mean, max(float(shares @ (scaled - mean).square()) ** 0.5, LEAST)
