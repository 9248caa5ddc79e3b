"""Requests that wait for the model, and how many of them share a run of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mnist_serving.classifier import Prediction

from .pixels import Images
from .transport import Request, Response


@dataclass(slots=True)
class Job:
    """A request's images, uint8 [N,channels,height,width], and what makes the reply.

    `reply` takes the prediction of a run that several requests share, and which of its rows are this request's.
    """

    request: Request
    images: Images
    reply: Callable[[Prediction, slice], Response]


def split_by_images(jobs: list[Job], most: int) -> Iterator[list[Job]]:
    """Split jobs, in their order, into batches of at most `most` images, or of one job."""
    batch: list[Job] = []
    size = 0
    for job in jobs:
        size += len(job.images)
        if batch and size > most:
            yield batch
            batch, size = [], len(job.images)
        batch.append(job)
    yield batch
