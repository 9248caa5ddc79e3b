"""The watch over processes that tests leave behind, which `conftest` keeps: it sees what it should."""

import subprocess
import sys

import psutil

from tests.http_server import PATIENCE, eventually
from tests.leftovers import describe, leftovers

ORPHAN = """
import subprocess, sys
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
print(subprocess.Popen(["cat"], stdin=sys.stdin, start_new_session=True, **quiet).pid)
"""


def ids() -> set[int]:
    return {process.pid for process in leftovers()}


def test_a_child_is_seen_until_it_ends() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert child.pid in ids()
        assert describe(psutil.Process(child.pid)) == f"{child.pid}: cat"
    assert child.pid not in ids()


def test_a_child_of_a_process_that_has_ended_is_seen() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        done = subprocess.run(
            [sys.executable, "-c", ORPHAN], stdin=holder.stdout, capture_output=True, check=True, timeout=PATIENCE
        )
        orphan = int(done.stdout)
        assert orphan in ids()
    eventually(lambda: orphan not in ids(), "the orphan to end with its input")
