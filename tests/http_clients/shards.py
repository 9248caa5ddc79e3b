"""Write shards of pictures that the model has golden examples of, count the ids in a folder of outputs, or show one.

python shards.py write FOLDER SHARDS ROWS
python shards.py count FOLDER
python shards.py rows FILE
"""

import json
import sys
from collections import Counter

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from mnist_serving import Classifier
from pyarrow import fs


def write(place, shards, rows):
    """Write Parquet files; an id is its shard's number and the row's."""
    files, folder = fs.FileSystem.from_uri(place)
    files.create_dir(folder)
    pictures = [picture.tobytes() for picture in Classifier().contract.golden.images]
    for shard in range(shards):
        ids = [f"{shard}-{row}" for row in range(rows)]
        images = pa.array([pictures[row % len(pictures)] for row in range(rows)], pa.binary())
        pq.write_table(pa.table({"id": ids, "image": images}), f"{folder}/{shard:04}.parquet", filesystem=files)


def count(place):
    """Print how many rows, ids and files there are, and how often each label."""
    files, folder = fs.FileSystem.from_uri(place)
    table = ds.dataset(folder, filesystem=files, format="parquet").to_table()
    labels = Counter(table["label"].to_pylist())
    print(json.dumps({"rows": len(table), "ids": len(set(table["id"].to_pylist())), "labels": labels}))


def show(path):
    """Print an output's rows, and in how many row groups they are."""
    file = pq.ParquetFile(path)
    print(json.dumps([file.read().to_pylist(), file.num_row_groups]))


if sys.argv[1] == "write":
    write(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
elif sys.argv[1] == "rows":
    show(sys.argv[2])
else:
    count(sys.argv[2])
