"""What the service counts, in Prometheus form.

With several workers the official client's multiprocess mode adds their counts up: `MULTIPROCESS` must then be set to a
folder before this module is imported.
"""

import collections
import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from mnist_serving.classifier import Classifier, Prediction

logger = logging.getLogger("mnist_serving.http")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class AllProcesses(Collector):
    """What the workers and the process that started them use, added up; the start is the earliest."""

    def __init__(self, folder: Path) -> None:
        """Take the folder of metrics, in which each living worker has a file named after it."""
        workers = [int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")]
        self._processes = [ProcessCollector(pid=partial(int, pid), registry=None) for pid in [os.getppid(), *workers]]

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of `ProcessCollector`, for all processes together."""
        found: dict[str, list[Metric]] = {}
        for process in self._processes:
            for metric in process.collect():
                found.setdefault(metric.name, []).append(metric)
        for name, (together, *_) in found.items():
            values = [metric.samples[0].value for metric in found[name]]
            value = min(values) if name == "process_start_time_seconds" else sum(values)
            together.samples[0] = together.samples[0]._replace(value=value)
            yield together


class Metrics:
    """The metrics of one application; each application has its own registry."""

    def __init__(self) -> None:
        """Make all metrics, at zero."""
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter("mnist_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "mnist_request_seconds",
            "From a request's head to its reply.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self._images = Counter("mnist_images", "Images classified.", registry=registry)
        self._labels = Counter("mnist_predictions", "Predictions by label.", ["label"], registry=registry)
        self._batch = Histogram(
            "mnist_batch_images", "Images in a run of the model.", buckets=IMAGES, registry=registry
        )
        self._abstained = Counter("mnist_abstained", "Images on which the model abstained.", registry=registry)
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
        if MULTIPROCESS not in os.environ:
            ProcessCollector(registry=registry)
        # Resolving labels costs more than counting: each child is looked up once.
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def describe_model(self, classifier: Classifier, *, name: str, version: str) -> None:
        """Publish which model answers."""
        self._by_label = {label: self._labels.labels(label) for label in classifier.labels}
        described = [classifier.metadata.get(key, "") for key in ("dataset", "accuracy")]
        self._model.labels(name, version, classifier.checksum, *described).set(1)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        children = self._children.get((route, status))
        if children is None:
            children = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._children[route, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def count_run(self, prediction: Prediction) -> None:
        """Count one run of the model."""
        images, abstained = len(prediction.labels), int(prediction.abstained.sum())
        self._images.inc(images)
        self._batch.observe(images)
        for label, count in collections.Counter(prediction.labels).items():
            self._by_label[label].inc(count)
        if abstained:
            self._abstained.inc(abstained)

    def render(self) -> bytes:
        """Return the text that Prometheus reads; with several workers, their sum."""
        if MULTIPROCESS in os.environ:
            every_worker = CollectorRegistry()
            try:
                folder = Path(os.environ[MULTIPROCESS])
                folder.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
                MultiProcessCollector(every_worker)  # type: ignore[no-untyped-call]
                every_worker.register(AllProcesses(folder))
                return generate_latest(every_worker)
            except (OSError, ValueError) as error:
                logger.warning("/metrics shows one worker alone: %s", error)
        return generate_latest(self._registry)
