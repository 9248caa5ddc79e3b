"""deploy/README.md: its commands run as they stand there, and it names what is there."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.balancers import ask
from tests.conftest import ROOT
from tests.http_server import BODY, ENVIRONMENT, PATIENCE, eventually
from tests.programs import require
from tests.test_deploy_prometheus import RULES, Prometheus
from tests.test_repository import blocks

PAGE = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
COMMANDS = "".join(blocks("sh", PAGE)).splitlines()
TYPED = {  # how a command begins, and the tests that type it
    "mnist-serving serve": "test_deploy_docs.py",
    "haproxy": "test_deploy_docs.py",
    "nginx": "test_deploy_docs.py",
    "prometheus": "test_deploy_docs.py",
    "make image": "test_deploy_image.py",
    "docker run": "test_deploy_image.py",
    "docker compose": "test_deploy_image.py",
    "make triton": "test_deploy_triton.py",
}
NOT_TYPED = {  # how it begins, and what the page says for that
    "kubectl apply": "No cluster has seen these files",
    "tritonserver": "ONNX Runtime backend was not at hand",
}


def lines_of(start: str) -> list[str]:
    """Return the page's commands that begin like that."""
    return [line for line in COMMANDS if line.startswith(start)]


@contextmanager
def typed(line: str, folder: Path) -> Iterator[None]:
    """Type a command in a folder that has `deploy/`; end it afterwards."""
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(
        ["bash", "-c", f"exec {line}"], cwd=folder, env=ENVIRONMENT, stdout=nowhere, stderr=nowhere
    )
    try:
        yield
        assert process.poll() is None, line
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Path]:
    """The page's two replicas, running; the folder for further commands."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    with ExitStack() as stack:
        for line in lines_of("mnist-serving serve"):
            stack.enter_context(typed(line, tmp_path))
        eventually(lambda: all(ask(port, "GET", "/v2/health/ready")[0] == 200 for port in (8001, 8002)), "both")
        yield tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("line", [*lines_of("haproxy"), *lines_of("nginx")])
def test_the_pages_balancer_answers_for_the_pages_replicas(line: str, replicas: Path) -> None:
    require(line.partition(" ")[0])
    systems_own = Path("/run/nginx.pid")
    before = systems_own.exists()
    with typed(line, replicas):
        eventually(lambda: ask(8080, "POST", "/predict", BODY)[0] == 200, line)
        assert systems_own.exists() == before


@pytest.mark.slow
def test_the_pages_prometheus_scrapes_the_pages_replicas(replicas: Path) -> None:
    require("prometheus")
    (line,) = lines_of("prometheus")
    with typed(line, replicas):
        eventually(lambda: Prometheus(9090).value('sum(up{job="mnist"})') == 2, line)


def test_every_command_of_the_page_is_typed_by_a_test_or_the_page_says_that_none_could() -> None:
    text = " ".join(PAGE.replace("*", "").split())
    for start, told in NOT_TYPED.items():
        assert lines_of(start)
        assert told in text
    for start, file in TYPED.items():
        assert f'lines_of("{start}")' in (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert [line for line in COMMANDS if not line.startswith((*TYPED, *NOT_TYPED))] == []


def default_of(flag: str) -> float:
    """Return the default of a flag of `serve`, as its help shows it."""
    shown = subprocess.run(["mnist-serving", "serve", "--help"], capture_output=True, text=True, check=True).stdout
    (default,) = re.findall(rf"^  --{flag} .*?default:\s+([\d.]+)", shown, flags=re.MULTILINE | re.DOTALL)
    return float(default)


def test_a_replica_lingers_by_default_for_longer_than_haproxy_takes_to_ask() -> None:
    (interval,) = re.findall(r" inter (\d+)ms", (ROOT / "deploy/haproxy.cfg").read_text(encoding="utf-8"))
    assert default_of("linger") * 1000 > int(interval)


def test_every_target_of_make_exists_that_the_page_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", PAGE, flags=re.MULTILINE))
    assert targets
    assert targets <= set(re.findall(r"^([a-z]+):.*##", makefile, flags=re.MULTILINE))


def test_every_file_and_folder_exists_that_the_page_names() -> None:
    named = re.findall(r"\b((?:deploy|tests|docs)/[\w./]*[\w/])", PAGE)
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert len(PAGE.splitlines()) < 200


def test_the_page_lists_the_alerts_of_the_rules() -> None:
    assert re.findall(r"^\| `(Mnist\w+)` \|", PAGE, flags=re.MULTILINE) == [
        rule["alert"] for rule in RULES if "alert" in rule
    ]
