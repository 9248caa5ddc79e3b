"""What the service counts, in Prometheus form.

Counts are numbers in memory that all workers share, a row for each worker: the one that is asked adds the rows up. No
file can vanish, no disk can be full, and what a dead worker has counted stays.
"""

import mmap
import os
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from http import HTTPStatus
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mnist_serving.classifier import Classifier, Prediction

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
STATUSES = {status.value: place for place, status in enumerate(HTTPStatus)}
WIDTH = 1 << 17  # numbers in a row, of which labels take the last; memory that is not written to costs nothing
PROCESS_ID, IN_FLIGHT, ABSTAINED, BATCHES = 0, 1, 2, 3  # places in a row; a histogram takes its buckets, +Inf, its sum
ROUTES = BATCHES + len(IMAGES) + 2


class Rows:
    """Numbers that forked processes share: each writes to its own row, at its `place`, and reads all."""

    def __init__(self, count: int = 1) -> None:
        """Make rows of zeros."""
        self._memory = mmap.mmap(-1, count * WIDTH * 8)
        self.place = 0

    def own(self) -> "memoryview[float]":
        """Return this process's row, float64."""
        return memoryview(self._memory).cast("d")[self.place * WIDTH : (self.place + 1) * WIDTH]

    def all(self, width: int) -> npt.NDArray[np.float64]:
        """Return the first numbers of every row, [rows,width]."""
        return np.frombuffer(self._memory).reshape(-1, WIDTH)[:, :width]


class Metrics(Collector):
    """The metrics of one application."""

    def __init__(self, routes: Iterable[str], rows: Rows | None = None) -> None:
        """Go on counting in a row; alone by default.

        Args:
            routes: the names of all that requests may have.
            rows: shared with other workers, who have the same routes.

        """
        self._rows = rows or Rows()
        self._row = self._rows.own()
        self._row[PROCESS_ID], self._row[IN_FLIGHT] = os.getpid(), 0
        width = len(STATUSES) + len(SECONDS) + 2
        self._routes = {route: ROUTES + number * width for number, route in enumerate(routes)}
        self._first_label = ROUTES + len(self._routes) * width
        self._labels: dict[str, int] = {}
        self._model: dict[str, str] = {}
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def describe_model(self, classifier: Classifier, *, name: str, version: str) -> None:
        """Publish which model answers."""
        described = {key: classifier.metadata.get(key, "") for key in ("dataset", "accuracy")}
        self._model = {"model": name, "version": version, "sha256": classifier.checksum, **described}
        self._labels = {label: self._first_label + number for number, label in enumerate(classifier.labels)}

    def set_in_flight(self, count: int) -> None:
        """Say how many requests with a body are being received or worked on."""
        self._row[IN_FLIGHT] = count

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        row, place = self._row, self._routes[route]
        with self._lock:  # errors of pictures are counted by the threads that read them
            row[place + STATUSES[status]] += 1
            place += len(STATUSES)
            row[place + bisect_left(SECONDS, seconds)] += 1
            row[place + len(SECONDS) + 1] += seconds

    def count_run(self, prediction: Prediction) -> None:
        """Count one run of the model."""
        row, images = self._row, len(prediction.labels)
        row[BATCHES + bisect_left(IMAGES, images)] += 1
        row[BATCHES + len(IMAGES) + 1] += images
        row[ABSTAINED] += int(np.count_nonzero(prediction.abstained))
        for label, count in Counter(prediction.labels).items():
            row[self._labels[label]] += count

    def render(self) -> bytes:
        """Return the text that Prometheus reads: the sum of all workers."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, for Prometheus' client."""
        rows = self._rows.all(self._first_label + len(self._labels))
        total: list[float] = rows.sum(axis=0).tolist()
        requests = CounterMetricFamily("mnist_requests", "Requests answered.", labels=["route", "status"])
        seconds = HistogramMetricFamily(
            "mnist_request_seconds", "From a request's head to its reply.", labels=["route"]
        )
        for route, place in self._routes.items():
            answered = {status: total[place + offset] for status, offset in STATUSES.items() if total[place + offset]}
            for status, count in answered.items():
                requests.add_metric([route, str(status)], count)
            if answered:
                _fill(seconds, [route], SECONDS, total[place + len(STATUSES) :])
        labels = CounterMetricFamily("mnist_predictions", "Predictions by label.", labels=["label"])
        for label, place in self._labels.items():
            labels.add_metric([label], total[place])
        batches = HistogramMetricFamily("mnist_batch_images", "Images in a run of the model.")
        _fill(batches, [], IMAGES, total[BATCHES:])
        model = GaugeMetricFamily("mnist_model_info", "The model, in labels; always 1.", labels=[*self._model])
        if self._model:
            model.add_metric([*self._model.values()], 1)
        in_flight = "Requests with a body being received or worked on."
        yield from (requests, seconds, labels, batches, model)
        yield CounterMetricFamily("mnist_images", "Images classified.", total[BATCHES + len(IMAGES) + 1])
        yield CounterMetricFamily("mnist_abstained", "Images on which the model abstained.", total[ABSTAINED])
        yield GaugeMetricFamily("mnist_requests_in_flight", in_flight, total[IN_FLIGHT])
        yield from _of_processes([int(process) for process in rows[:, PROCESS_ID]])


def _fill(histogram: HistogramMetricFamily, labels: list[str], bounds: tuple[float, ...], counts: list[float]) -> None:
    """Add a histogram's buckets, which Prometheus wants cumulative, and its sum, which follows them in `counts`."""
    edges = [*map(str, bounds), "+Inf"]
    buckets = list(zip(edges, accumulate(counts), strict=False))
    histogram.add_metric(labels, buckets, counts[len(edges)])


def _of_processes(workers: list[int]) -> Iterator[Metric]:
    """Yield what the workers, and the process that started several, use together; the start is the earliest."""
    processes = [os.getppid(), *filter(None, workers)] if len(workers) > 1 else workers
    found: dict[str, list[Metric]] = {}
    for process in processes:
        for metric in ProcessCollector(pid=partial(int, process), registry=None).collect():
            found.setdefault(metric.name, []).append(metric)
    for name, (together, *_) in found.items():
        values = [metric.samples[0].value for metric in found[name]]
        value = min(values) if name == "process_start_time_seconds" else sum(values)
        together.samples[0] = together.samples[0]._replace(value=value)
        yield together
