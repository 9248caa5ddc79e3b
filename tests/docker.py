"""A Docker daemon of its own for tests, with Compose: its files, socket and network end with it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.http_server import ENVIRONMENT, PATIENCE, eventually
from tests.programs import installed, require

BRIDGE = "docker0"
Docker = Callable[..., str]


@contextmanager
def running_docker(folder: Path) -> Iterator[Docker]:
    """Run the daemon; yield a function that runs a command which asks it, and returns what it printed."""
    require("dockerd", package="docker.io")
    if os.getuid() != 0 or Path("/sys/class/net", BRIDGE).exists():
        pytest.skip(f"did not run: it needs root, and no other Docker daemon that has the network {BRIDGE}")
    plugins = folder / "cli-plugins"
    plugins.mkdir()
    shutil.copy(installed("compose", "docker-compose"), plugins)
    settings = ENVIRONMENT | {"DOCKER_HOST": f"unix://{folder}/socket", "DOCKER_CONFIG": str(folder)}

    def ask(*command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    places = [f"--data-root={folder}/data", f"--exec-root={folder}/run", f"--pidfile={folder}/pid"]
    with (folder / "log").open("w") as log:
        command = ["dockerd", "--iptables=false", f"--host=unix://{folder}/socket", *places]
        daemon = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: "API listen" in (folder / "log").read_text(), (folder / "log").read_text)
        yield ask
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False)
