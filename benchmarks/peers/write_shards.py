"""Writes images as Parquet files with the columns `id` and `image`: python write_shards.py IMAGES.npy FOLDER ROWS."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

images, folder, rows = np.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for number, start in enumerate(range(0, len(images), rows)):
    some = images[start : start + rows]
    ids = [f"{start + row}" for row in range(len(some))]
    pixels = pa.array([image.tobytes() for image in some], pa.binary())
    table = pa.table({"id": ids, "image": pixels})
    pq.write_table(table, folder / f"{number:04}.parquet", compression="zstd")
