"""examples/ray on folders, in one process: what a shard is, what its output holds, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import Classifier, canonicalize
from mnist_serving.images import read_grey

from tests.test_deploy_ray import JOB, SCRIPTS, attempt, outputs, run, run_in
from tests.test_examples import EXAMPLES


@pytest.fixture
def pictures(tmp_path: Path) -> int:
    """How many pictures are in the only shard, some/ in in/; the last one is spoiled."""
    subprocess.run([sys.executable, EXAMPLES / "pictures.py", tmp_path / "in/some"], check=True)
    (tmp_path / "in/some/spoiled.png").write_bytes(b"nothing")
    return len(list((tmp_path / "in/some").glob("*.png")))


def test_folders_may_be_named_from_where_one_is(pictures: int, tmp_path: Path) -> None:
    assert run_in(tmp_path, JOB / "shard.py", "in", "out") == f"some {pictures}\n"
    assert list(outputs(tmp_path / "out")) == ["some.parquet"]
    assert run_in(tmp_path, JOB / "shard.py", "in/", "./out") == ""  # nothing is left to do


@pytest.mark.parametrize("most", [4, 10_000])
def test_the_rows_of_many_pictures_are_written_together(most: int, pictures: int, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    program = f"import shard; shard.ROWS = {most}; print(shard.score('some', 'in', 'out'))"
    assert run_in(tmp_path, "-c", program) == f"{pictures}\n"
    rows, groups = json.loads(run(SCRIPTS / "shards.py", "rows", tmp_path / "out/some.parquet"))
    assert groups == -(-pictures // most)
    assert [row["id"] for row in rows] == sorted(f"some/{file.name}" for file in (tmp_path / "in/some").glob("*.png"))
    *golden, spoiled = rows
    assert (spoiled["label"], spoiled["probability"], spoiled["abstained"]) == (None, None, None)
    assert "cannot be read" in spoiled["error"]
    found = [row for row in golden if row["error"] is None]
    files = [(tmp_path / "in" / row["id"]).read_bytes() for row in found]
    prediction = Classifier().predict(np.stack([canonicalize(read_grey(file)) for file in files]))
    assert [row["label"] for row in found] == prediction.labels
    assert [row["abstained"] for row in found] == prediction.abstained.tolist()
    np.testing.assert_allclose([row["probability"] for row in found], prediction.probabilities.max(axis=1), rtol=1e-4)


@pytest.mark.parametrize("program", ["shard.py", "score.py"])
@pytest.mark.parametrize("before", ["nothing", "some.parquet"])
@pytest.mark.usefixtures("pictures")
def test_shards_that_would_have_the_same_output_are_refused(program: str, before: str, tmp_path: Path) -> None:
    if before != "nothing":
        run_in(tmp_path, JOB / "shard.py", "in", "out")
    (tmp_path / "in/some.parquet").write_bytes(b"another")
    done = attempt(tmp_path, JOB / program, "in", "out")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert "some and some.parquet, whose outputs would both be some.parquet" in done.stderr
    assert list(outputs(tmp_path / "out")) == [name for name in [before] if name != "nothing"]


@pytest.mark.parametrize("program", ["shard.py", "score.py"])
@pytest.mark.parametrize("target", ["in", "in/out", "in/some/out", "out/../in/out", "link/out"])
@pytest.mark.usefixtures("pictures")
def test_a_target_inside_the_source_is_refused(program: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("in")
    before = set(tmp_path.rglob("*"))
    done = attempt(tmp_path, JOB / program, "in", target)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert "outputs would be taken for shards" in done.stderr
    assert set(tmp_path.rglob("*")) == before
    assert attempt(tmp_path, JOB / "shard.py", "in", "in-other").returncode == 0


@pytest.mark.parametrize("program", ["shard.py", "score.py"])
@pytest.mark.usefixtures("pictures")
def test_pictures_without_a_folder_around_them_are_no_shard(program: str, tmp_path: Path) -> None:
    done = attempt(tmp_path, JOB / program, "in/some", "out")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert f"{tmp_path}/in/some has no shard in it" in done.stderr


@pytest.mark.parametrize("program", ["shard.py", "score.py"])
def test_wrong_usage_and_what_cannot_be_read_are_one_line(program: str, tmp_path: Path) -> None:
    cases = {(): 2, ("in",): 2, ("in", "out", "more"): 2, ("in", "out"): 1, ("disk://in", "out"): 1}
    for arguments, code in cases.items():
        done = attempt(tmp_path, JOB / program, *arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
        assert done.stderr.startswith(f"{program}: error: ")
    assert list(tmp_path.iterdir()) == []
    assert "SOURCE TARGET" in run(JOB / program, "--help")


@pytest.mark.parametrize(
    ("column", "images"),
    [
        ("pixels", "[picture, picture]"),
        ("image", "[picture, None]"),
        ("image", "[picture, picture[1:]]"),
        ("image", "[picture + picture[:1], picture[1:]]"),
        ("image", "[{'bytes': picture}, {'bytes': picture}]"),
        ("image", "[list(picture), list(picture)]"),
        ("", ""),  # no Parquet file
    ],
)
def test_a_shard_that_cannot_be_read_is_named_in_one_line_and_has_no_output(
    column: str, images: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/spoiled.parquet").write_bytes(b"nothing")
    if column:
        table = f"pa.table({{'{column}': {images}, 'id': [1, 2]}})"
        program = f"import pyarrow as pa, pyarrow.parquet as pq; picture = bytes(784); table = {table}"
        run_in(tmp_path, "-c", f"{program}; pq.write_table(table, 'in/spoiled.parquet')")
    done = attempt(tmp_path, JOB / "shard.py", "in", "out")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    assert done.stderr.startswith("shard.py: error: spoiled.parquet: ")
    assert not column or "the columns `id` and `image`, in each row 784 bytes" in done.stderr
    assert outputs(tmp_path / "out") == {}
