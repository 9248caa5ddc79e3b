"""The limits that keep the service alive whatever arrives: each has a default here and a flag in `serve`."""

from dataclasses import dataclass
from functools import cached_property

from mnist_serving import MAX_PIXELS

from .transport import BodyLimit, TransportLimits


@dataclass(frozen=True)
class Limits(TransportLimits):
    """The transport's limits, and how much there may be in a body.

    Attributes:
        picture: bytes in a body of picture files, as it arrives and again after decompression; beyond: 413.
        parts: parts of a form, and picture files in a JSON body; beyond: 413.
        images: images in one request, and in one run of the model; beyond: 413.
        pixels: width times height of a picture file; beyond: 400.

    """

    picture: int = 16 << 20  # a phone's photo of 12 megapixels has 3 to 8 million as JPEG
    parts: int = 64
    images: int = 1024
    pixels: int = MAX_PIXELS

    @cached_property
    def of_json(self) -> BodyLimit:
        """How large a body is that holds no picture files."""
        return BodyLimit(self.body, "--max-body")

    @cached_property
    def of_pictures(self) -> BodyLimit:
        """How large a body of picture files is."""
        return BodyLimit(self.picture, "--max-picture")
