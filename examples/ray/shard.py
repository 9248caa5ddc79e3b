"""Scores one shard of pictures into one Parquet file. It knows no engine: any one, or a loop, can hand it names.

    python shard.py SOURCE TARGET

scores every shard of a folder in this process. A shard is a Parquet file with the columns `id` and `image` (the bytes
of the pixels, as the model takes them), or a folder of picture files. SOURCE and TARGET are folders, local or
`s3://bucket/folder`; keys and the address of other servers than Amazon's are in the environment, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL. A shard whose output exists is skipped, so the same command resumes.
Exit codes: 0 done, 1 something cannot be read or written, 2 wrong usage.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

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


def locate(folder: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a folder, and its path there."""
    place, path = fs.FileSystem.from_uri(absolute(folder))
    return place, path


def absolute(folder: str) -> str:
    """Return a folder as it is called from everywhere."""
    return folder if "://" in folder else str(Path(folder).absolute())


def unfinished(source: str, target: str) -> list[str]:
    """Return the names of the shards that have no output yet, sorted.

    Raises:
        OSError: a folder cannot be read or made.
        ValueError: SOURCE has no shard, TARGET is in it, or two shards would have the same output.

    """
    place, folder = locate(source)
    target_place, outputs = locate(target)
    if place.type_name == target_place.type_name and Path(outputs).resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(f"TARGET {target} is in SOURCE {source}, so outputs would be taken for shards: move it out")
    found = place.get_file_info(fs.FileSelector(folder))
    names = [file.base_name for file in found if file.type == fs.FileType.Directory or file.extension == "parquet"]
    shards = sorted(name for name in names if not name.startswith(("_", ".")))
    if not shards:
        raise ValueError(f"{source} has no shard in it: a shard is a Parquet file, or a folder of picture files")
    for output, times in Counter(map(output_of, shards)).items():
        if times > 1:
            alike = " and ".join(name for name in shards if output_of(name) == output)
            raise ValueError(f"{source} has {alike}, whose outputs would both be {output}: rename one")
    target_place.create_dir(outputs)
    done = {file.base_name for file in target_place.get_file_info(fs.FileSelector(outputs))}
    return [name for name in shards if output_of(name) not in done]


def output_of(name: str) -> str:
    """Return the name of a shard's output."""
    return name if name.endswith(".parquet") else f"{name}.parquet"


def score(name: str, source: str, target: str) -> int:
    """Score the shard of a name, and write its output whole or not at all; return the number of rows.

    Raises:
        OSError: it cannot be read or written.
        ValueError: it lacks a column, or its images are not of the size that the model takes.

    """
    place, folder = locate(target)
    partial, rows = f"{folder}/_{output_of(name)}", 0  # pyarrow, Spark and Ray do not read names that begin with _
    with place.open_output_stream(partial) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for batch in _read_table(name, source) if name.endswith(".parquet") else _read_pictures(name, source):
            writer.write_batch(batch)
            rows += len(batch)
    place.move(partial, f"{folder}/{output_of(name)}")
    return rows


def _read_table(name: str, source: str) -> Iterator[pa.RecordBatch]:
    """Yield the scored rows of a Parquet file."""
    place, folder = locate(source)
    shape = classifier().contract.image_shape
    with place.open_input_file(f"{folder}/{name}") as file:
        for batch in pq.ParquetFile(file).iter_batches(ROWS, columns=["id", "image"]):
            try:
                ids = batch["id"].cast(pa.string())
                pixels = b"".join(batch["image"].cast(pa.binary(math.prod(shape))).to_pylist())
            except (KeyError, TypeError, pa.ArrowException) as error:  # TypeError: a row without an image
                needed = f"it must have the columns `id` and `image`, in each row {math.prod(shape)} bytes"
                raise ValueError(f"{needed}: {error}") from error
            prediction = classifier().predict(np.frombuffer(pixels, np.uint8).reshape(-1, *shape))
            columns = (
                ids,
                prediction.labels,
                prediction.probabilities.max(axis=1),
                prediction.abstained,
                [None] * len(batch),
            )
            arrays = [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _read_pictures(name: str, source: str) -> Iterator[pa.RecordBatch]:
    """Yield the scored rows of a folder of pictures; the id is the file's path below the source."""
    place, folder = locate(source)
    found = place.get_file_info(fs.FileSelector(f"{folder}/{name}", recursive=True))
    paths = sorted(file.path for file in found if file.base_name.lower().endswith(SUFFIXES))
    for start in range(0, len(paths), ROWS):
        rows: list[dict[str, Any]] = []
        images = []
        for path in paths[start : start + ROWS]:
            row = {"id": path.removeprefix(f"{folder}/")}
            try:
                with place.open_input_file(path) as content:
                    images.append(canonicalize(read_grey(content.read())))
            except ValueError as error:  # the picture's fault; what is the disk's ends the shard
                row["error"] = " ".join(str(error).split())
            rows.append(row)
        if images:
            prediction = classifier().predict(np.stack(images))
            answers = zip(prediction.labels, prediction.probabilities.max(axis=1), prediction.abstained, strict=True)
            for row, answer in zip((row for row in rows if "error" not in row), answers, strict=True):
                row.update(zip(("label", "probability", "abstained"), answer, strict=True))
        yield pa.RecordBatch.from_pylist(rows, SCHEMA)


def begin(description: str) -> tuple[str, str, list[str]]:
    """Return the folders that the command line names, and the shards to score; what is wrong is told in one line."""
    parser = Parser(description=description)
    kinds = "local or s3://bucket/folder"
    shards = "Parquet files with the columns `id` and `image`, or folders of picture files"
    parser.add_argument("source", metavar="SOURCE", type=absolute, help=f"the folder of the shards, {kinds}: {shards}")
    parser.add_argument("target", metavar="TARGET", type=absolute, help=f"the folder of the outputs, {kinds}")
    folders = parser.parse_args()
    try:
        return folders.source, folders.target, unfinished(folders.source, folders.target)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: error: {error}")


class Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}; `{self.prog} --help` lists what is allowed\n")


def main() -> None:
    """Score what is missing, in this process."""
    source, target, names = begin(
        "Score a folder of shards in one process; run again, it goes on where it was stopped."
    )
    for name in names:
        try:
            print(name, score(name, source, target), flush=True)
        except (OSError, ValueError) as error:
            sys.exit(f"{Path(sys.argv[0]).name}: error: {name}: {error}")


if __name__ == "__main__":
    main()
