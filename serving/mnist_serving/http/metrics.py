"""What the service counts, in Prometheus form.

With several workers the official client's multiprocess mode adds them up: the variable
`PROMETHEUS_MULTIPROC_DIR` must then be set before this module is imported.
"""

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from .transport.workers import FOLDER_VARIABLE

if TYPE_CHECKING:
    from mnist_serving.classifier import Classifier

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one application; several applications in a process do not meet."""

    def __init__(self) -> None:
        """Make all metrics, at zero."""
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter("mnist_requests", "Requests answered.", ["call", "status"], registry=registry)
        self._seconds = Histogram(
            "mnist_request_seconds", "From a request's head to its reply.", ["call"], buckets=SECONDS, registry=registry
        )
        self._images = Counter("mnist_images", "Images recognised.", registry=registry)
        self._batch = Histogram(
            "mnist_batch_images", "Images the model took at once.", buckets=IMAGES, registry=registry
        )
        self._abstained = Counter("mnist_abstained", "Images the model should not be believed on.", registry=registry)
        self.in_flight = Gauge(
            "mnist_requests_in_flight",
            "Requests with a body being received or worked on.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._model = Gauge(
            "mnist_model_info",
            "The model, in labels; always 1.",
            ["model", "version", "sha256", "dataset", "accuracy"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        if FOLDER_VARIABLE not in os.environ:
            ProcessCollector(registry=registry)
        # Resolving labels costs more than counting: each child is looked up once.
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def describe_model(self, classifier: "Classifier", *, name: str, version: str) -> None:
        """Publish which model answers."""
        facts = classifier.metadata
        self._model.labels(name, version, classifier.checksum, facts.get("dataset", ""), facts.get("accuracy", "")).set(
            1
        )

    def count_request(self, call: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        children = self._children.get((call, status))
        if children is None:
            children = self._requests.labels(call, str(status)), self._seconds.labels(call)
            self._children[call, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def count_images(self, images: int, abstained: int) -> None:
        """Count one run of the model."""
        self._images.inc(images)
        self._batch.observe(images)
        if abstained:
            self._abstained.inc(abstained)

    def render(self) -> bytes:
        """Return the text that Prometheus reads; with several workers, their sum."""
        if FOLDER_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        every_worker = CollectorRegistry()
        MultiProcessCollector(every_worker)  # type: ignore[no-untyped-call]
        return generate_latest(every_worker)
