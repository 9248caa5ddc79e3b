"""Scores one shard of pictures into one Parquet file. It knows no engine: any one, or a loop, can hand it names.

    python shard.py SOURCE TARGET

scores every shard of a folder in this process. A shard is a Parquet file with the columns `id` and `image` (the bytes
of the pixels, as the model takes them), or a folder of picture files. SOURCE and TARGET are folders, local or
`s3://bucket/folder`; keys and the address of other servers than Amazon's are in the environment, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL. A shard whose output exists is skipped, so the same command resumes.
"""

import sys
from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mnist_serving import Classifier, canonicalize
from mnist_serving.images import read_grey
from pyarrow import fs

ROWS = 10_000  # that are in memory at once
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.string()),
        ("probability", pa.float32()),
        ("abstained", pa.bool_()),
        ("error", pa.string()),  # why a picture has no label
    ]
)


@cache
def classifier() -> Classifier:
    """Return the classifier, one a process."""
    return Classifier()


def unfinished(source: str, target: str) -> list[str]:
    """Return the names of the shards that have no output yet, sorted."""
    place, folder = fs.FileSystem.from_uri(target)
    place.create_dir(folder)
    done = {file.base_name for file in place.get_file_info(fs.FileSelector(folder))}
    place, folder = fs.FileSystem.from_uri(source)
    found = place.get_file_info(fs.FileSelector(folder))
    shards = [file.base_name for file in found if file.type == fs.FileType.Directory or file.extension == "parquet"]
    return sorted(name for name in shards if output_of(name) not in done and not name.startswith(("_", ".")))


def output_of(name: str) -> str:
    """Return the name of a shard's output."""
    return name if name.endswith(".parquet") else f"{name}.parquet"


def score(name: str, source: str, target: str) -> int:
    """Score the shard of a name, and write its output whole or not at all; return the number of rows.

    Raises:
        OSError: it cannot be read or written.
        ValueError: the images do not have the size that the model takes.

    """
    place, folder = fs.FileSystem.from_uri(target)
    partial, rows = f"{folder}/_{output_of(name)}", 0  # pyarrow, Spark and Ray do not read names that begin with _
    with place.open_output_stream(partial) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for batch in _read_table(name, source) if name.endswith(".parquet") else _read_pictures(name, source):
            writer.write_batch(batch)
            rows += len(batch)
    place.move(partial, f"{folder}/{output_of(name)}")
    return rows


def _read_table(name: str, source: str) -> Iterator[pa.RecordBatch]:
    """Yield the scored rows of a Parquet file."""
    place, folder = fs.FileSystem.from_uri(source)
    with place.open_input_file(f"{folder}/{name}") as file:
        for batch in pq.ParquetFile(file).iter_batches(ROWS, columns=["id", "image"]):
            pixels = np.frombuffer(b"".join(batch["image"].to_pylist()), np.uint8)
            images = pixels.reshape(len(batch), *classifier().contract.image_shape)
            prediction = classifier().predict(images)
            yield _as_rows(
                batch["id"].cast(pa.string()),
                prediction.labels,
                prediction.probabilities.max(axis=1),
                prediction.abstained,
                [None] * len(batch),
            )


def _read_pictures(name: str, source: str) -> Iterator[pa.RecordBatch]:
    """Yield the scored rows of a folder of pictures, one row a time; the id is the file's path below the source."""
    place, folder = fs.FileSystem.from_uri(source)
    for file in sorted(place.get_file_info(fs.FileSelector(f"{folder}/{name}", recursive=True)), key=lambda i: i.path):
        if not file.base_name.lower().endswith(SUFFIXES):
            continue
        path = [file.path.removeprefix(f"{folder}/")]
        try:
            with place.open_input_file(file.path) as content:
                prediction = classifier().predict(canonicalize(read_grey(content.read())))
        except ValueError as error:  # the picture's fault; what is the disk's ends the shard
            yield _as_rows(path, [None], [None], [None], [" ".join(str(error).split())])
        else:
            yield _as_rows(path, prediction.labels, prediction.probabilities.max(axis=1), prediction.abstained, [None])


def _as_rows(*columns: object) -> pa.RecordBatch:
    arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def main() -> None:
    """Score what is missing, in this process."""
    source, target = sys.argv[1:]
    for name in unfinished(source, target):
        print(name, score(name, source, target), flush=True)


if __name__ == "__main__":
    main()
