"""The OpenAPI document, compared with what the server does: schemathesis makes up requests from it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peer_environments import environment
from tests.http_server import running_server
from tests.http_service import ask, make_service

EXAMPLES = 30  # of each call; `make bench` tries many more
SECONDS = 600


# Too many images are a 413, which schemathesis does not expect for wrong data by default.
SETTINGS = """
[checks]
negative_data_rejection.expected-statuses = [400, 404, 405, 413, 415, 431]
"""


def run_schemathesis(port: int, examples: int, settings: Path) -> subprocess.CompletedProcess[str]:
    """Return what schemathesis found."""
    settings.write_text(SETTINGS)
    command = [str(environment("schemathesis").with_name("schemathesis")), "--config-file", str(settings)]
    url = f"http://127.0.0.1:{port}/openapi.json"
    options = ["--max-examples", str(examples), "--seed", "0", "--workers", "1", "--no-color"]
    # A shape and the data that fit it, or the bytes of a picture, cannot be made up from a schema.
    checks = ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
    return subprocess.run(
        [*command, "run", url, *options, *checks],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        cwd=settings.parent,
    )


def arrays(part: object) -> Iterator[dict[str, Any]]:
    """Yield the schemas of arrays in a part of a document."""
    if isinstance(part, dict) and part.get("type") == "array":
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from arrays(inner)


def test_every_array_says_what_it_holds_without_which_generated_clients_lack_its_calls() -> None:
    found = [*arrays(json.loads(ask(make_service(), "/openapi.json").body))]
    assert found
    assert [array for array in found if not {"items", "prefixItems"} & array.keys()] == []


@pytest.mark.timeout(1800)  # the first run installs
def test_the_server_does_what_its_openapi_document_says(tmp_path: Path) -> None:
    with running_server() as server:
        found = run_schemathesis(server.port, EXAMPLES, tmp_path / "schemathesis.toml")
        assert found.returncode == 0, found.stdout
        assert server.stop() == 0
