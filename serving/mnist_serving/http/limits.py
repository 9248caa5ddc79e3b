"""The limits that keep the service alive whatever arrives: each has a default here and a flag in `serve`."""

from dataclasses import dataclass

from mnist_serving.preprocess.canonicalize import MAX_PIXELS

from .transport.limits import TransportLimits


@dataclass(frozen=True)
class Limits(TransportLimits):
    """The transport's limits, and how much there may be in a body.

    Attributes:
        images: images in one request, and in one run of the model; beyond: 413.
        pixels: width times height of a picture file; beyond: 400.

    """

    images: int = 1024
    pixels: int = MAX_PIXELS
