"""Scores a folder of shards as Ray Data's own documentation does, with pixels that it moves between its processes.

python ray_pixels.py SOURCE TARGET
"""

import sys

import numpy as np
import pyarrow as pa
import ray
from mnist_serving import Classifier


class Scorer:
    """A worker, which loads the model once."""

    def __init__(self):
        """Load it."""
        self._classifier = Classifier()

    def __call__(self, table):
        """Score a batch."""
        pixels = np.frombuffer(b"".join(table["image"].to_pylist()), np.uint8)
        prediction = self._classifier.predict(pixels.reshape(len(table), *self._classifier.contract.image_shape))
        columns = {"probability": prediction.probabilities.max(axis=1), "abstained": prediction.abstained}
        return pa.table({"id": table["id"], "label": prediction.labels, **columns})


ray.init()
pool = ray.data.ActorPoolStrategy(min_size=1, max_size=int(ray.cluster_resources()["CPU"]))
shards = ray.data.read_parquet(sys.argv[1])
shards.map_batches(Scorer, batch_size=10_000, batch_format="pyarrow", compute=pool).write_parquet(sys.argv[2])
