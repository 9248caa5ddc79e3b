"""examples/ray, on a cluster of two nodes too: whoever is killed, in the end every picture has one row."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mnist_serving import Classifier

from tests.http_server import ENVIRONMENT, PATIENCE, eventually
from tests.programs import installed
from tests.seaweedfs import BUCKET, KEYS, running_s3
from tests.test_examples import EXAMPLES, find_line

JOB = EXAMPLES / "ray"
SCRIPTS = Path(__file__).parent / "http_clients"
SHARDS, ROWS = 40, 10_000
SETTINGS = ENVIRONMENT | KEYS | {"RAY_USAGE_STATS_ENABLED": "0"}
SETTINGS["PYTHONPATH"] += os.pathsep + str(JOB)  # as `cd examples/ray` has it, for workers of a cluster that runs
Counts = dict[str, Any]


def attempt(folder: Path, /, *command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the example's environment in a folder, to its end."""
    words = [installed("ray"), *map(str, command)]
    return subprocess.run(words, cwd=folder, env=SETTINGS | settings, capture_output=True, text=True, check=False)


def run_in(folder: Path, /, *command: str | Path, **settings: str) -> str:
    """Do the same; return what the program printed, which has to succeed."""
    done = attempt(folder, *command, **settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def run(*command: str | Path, **settings: str) -> str:
    """Do the same in the example's folder."""
    return run_in(JOB, *command, **settings)


def count(target: Path | str) -> Counts:
    """Return how many rows, ids and labels the outputs have."""
    counts: Counts = json.loads(run(SCRIPTS / "shards.py", "count", target))
    return counts


def expected(shards: int) -> Counts:
    """Return the same for so many shards, each scored once, by `Classifier` here."""
    labels = Classifier().predict(Classifier().contract.golden.images).labels
    times = Counter(labels[row % len(labels)] for row in range(ROWS))
    return {
        "rows": shards * ROWS,
        "ids": shards * ROWS,
        "labels": {label: shards * number for label, number in times.items()},
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shards."""
    folder = tmp_path_factory.mktemp("shards")
    run(SCRIPTS / "shards.py", "write", folder, str(SHARDS), str(ROWS))
    return folder


@pytest.fixture
def cluster() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a cluster of two nodes, and the program that runs it."""
    command = [installed("ray"), str(SCRIPTS / "ray_cluster.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=SETTINGS, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise AssertionError
        yield process.stdout.readline().strip(), process
        process.stdin.close()


def start(source: Path, target: Path, address: str) -> subprocess.Popen[bytes]:
    """Start the job; return once a few shards are done and most are not."""
    command = [installed("ray"), "score.py", str(source), str(target)]
    log = subprocess.DEVNULL
    job = subprocess.Popen(command, cwd=JOB, env=SETTINGS | {"RAY_ADDRESS": address}, stdout=log, stderr=log)
    eventually(lambda: len(outputs(target)) >= 3 or job.poll() is not None, "the first outputs")
    assert job.poll() is None
    assert len(outputs(target)) < SHARDS
    return job


def outputs(target: Path) -> dict[str, int]:
    """Return the outputs that are whole, and when each was written."""
    return {file.name: file.stat().st_mtime_ns for file in target.glob("[!_]*.parquet")}


def kill_node(nodes: subprocess.Popen[str]) -> None:
    """End all processes of the second node."""
    assert nodes.stdin is not None
    print("kill", file=nodes.stdin, flush=True)


def kill_worker(nodes: subprocess.Popen[str]) -> None:
    """End one of the processes that score shards."""
    processes = psutil.Process(nodes.pid).children(recursive=True)
    workers = [process for process in processes if "MapWorker" in " ".join(process.cmdline())]
    workers[0].kill()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kill", [kill_worker, kill_node])
def test_the_shards_of_a_worker_or_node_that_is_killed_are_scored_by_another(
    kill: Callable[[subprocess.Popen[str]], None],
    source: Path,
    tmp_path: Path,
    cluster: tuple[str, subprocess.Popen[str]],
) -> None:
    address, nodes = cluster
    job = start(source, tmp_path / "out", address)
    kill(nodes)
    assert job.wait(10 * PATIENCE) == 0
    assert count(tmp_path / "out") == expected(SHARDS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_after_the_driver_was_killed_the_same_command_scores_the_rest(
    source: Path, tmp_path: Path, cluster: tuple[str, subprocess.Popen[str]]
) -> None:
    address, _ = cluster
    target = tmp_path / "out"
    job = start(source, target, address)
    job.kill()
    assert job.wait(PATIENCE) == -signal.SIGKILL
    done = outputs(target)
    run("score.py", source, target, RAY_ADDRESS=address)
    after = outputs(target)
    assert count(target) == expected(SHARDS)
    assert len(after) == SHARDS
    assert sum(after[name] == written for name, written in done.items()) >= len(done) - 2  # two may have been under way


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_process_and_a_cluster_on_this_machine_read_and_write_s3(tmp_path: Path) -> None:
    with running_s3(tmp_path) as address:
        there = f"s3://{BUCKET}/in"
        settings = {"AWS_ENDPOINT_URL": address, "RAY_ADDRESS": "local"}
        run(SCRIPTS / "shards.py", "write", there, "3", str(ROWS), **settings)
        for program, name in (("shard.py", "one"), ("score.py", "ray")):
            run(program, there, f"s3://{BUCKET}/{name}", **settings)
            printed = run(SCRIPTS / "shards.py", "count", f"s3://{BUCKET}/{name}", **settings)
            assert json.loads(printed) == expected(3)
            assert run("shard.py", there, f"s3://{BUCKET}/{name}", **settings) == ""  # nothing is left to do


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_with_the_pages_commands_a_folder_of_pictures_is_a_shard_and_a_spoiled_one_has_its_error(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, EXAMPLES / "pictures.py", tmp_path / "in/some"], check=True)
    (tmp_path / "in/some/spoiled.png").write_bytes(b"nothing")
    for program in ("score.py", "shard.py"):
        python, *command = shlex.split(find_line("ray", f"python {program}"))
        assert python == "python"
        places = {"SOURCE": tmp_path / "in", "TARGET": tmp_path / program}
        run(*[places.get(word, word) for word in command], RAY_ADDRESS="local")
        counts = count(tmp_path / program)
        pictures = len(Classifier().contract.golden.images) + 1
        assert (counts["rows"], counts["ids"]) == (pictures, pictures)
        assert counts["labels"]["null"] >= 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_on_ray_a_shard_that_cannot_be_read_is_named_and_the_others_are_scored(tmp_path: Path) -> None:
    run(SCRIPTS / "shards.py", "write", tmp_path / "in", "2", "10")
    (tmp_path / "in/spoiled.parquet").write_bytes(b"nothing")
    done = attempt(JOB, "score.py", tmp_path / "in", tmp_path / "out", RAY_ADDRESS="local")
    assert (done.returncode, done.stdout) == (1, "2 shards, 20 rows\n"), done.stderr
    assert done.stderr.splitlines()[-1].startswith("score.py: error: spoiled.parquet: ")
    assert count(tmp_path / "out")["rows"] == 20
