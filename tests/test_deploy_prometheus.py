"""deploy/prometheus on Debian's Prometheus: it scrapes the service, its rules have tests, the dashboard has data."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.balancers import free_port
from tests.conftest import ROOT
from tests.http_server import ENVIRONMENT, PATIENCE, Server, eventually, running_server
from tests.programs import require

FOLDER = ROOT / "deploy/prometheus"
RULES = [rule for group in YAML(typ="safe").load(FOLDER / "rules.yml")["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
SHOWN = {target["expr"]: panel["title"] for panel in DASHBOARD["panels"] for target in panel["targets"]}
REQUESTS, IMAGES = 20, 10
Samples = list[dict[str, Any]]


def promtool(*arguments: str, given: str = "") -> str:
    """Run promtool in the folder, with something on its standard input; return what it printed."""
    require("promtool", package="prometheus")
    done = subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        """Take its port."""
        self.address = f"http://127.0.0.1:{port}/api/v1/query?query="

    def ask(self, expression: str) -> Samples:
        """Return the samples of an expression; none while Prometheus starts."""
        try:
            with urllib.request.urlopen(self.address + urllib.parse.quote(expression), timeout=PATIENCE) as reply:  # noqa: S310
                return list(json.load(reply)["data"]["result"])
        except urllib.error.HTTPError as error:
            assert error.code == 503, error.read().decode()  # noqa: PT017 (any other is the expression's fault)
            return []
        except OSError:
            return []

    def value(self, expression: str) -> float:
        """Return the one value of an expression; NaN while it has none."""
        samples = self.ask(expression)
        return float(samples[0]["value"][1]) if len(samples) == 1 else float("nan")


def predict(server: Server) -> None:
    """Send pictures of noise, some requests of several, and one that is refused."""
    random = np.random.default_rng(0)
    for _ in range(REQUESTS):
        body = json.dumps({"images": random.integers(0, 256, (IMAGES, 784)).tolist()}).encode()
        assert server.call("POST", "/predict", body, Content_Type="application/json").status == 200
    assert server.call("POST", "/predict", b"{", Content_Type="application/json").status == 400


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, list[Server]]]:
    """Prometheus, with the configuration of the folder at a faster pace, and replicas of one worker and of two."""
    require("prometheus")
    folder = Path(shutil.copytree(FOLDER, tmp_path_factory.mktemp("prometheus") / "prometheus"))
    with ExitStack() as stack:
        servers = [stack.enter_context(running_server("--workers", count)) for count in ("1", "2")]
        text = (folder / "prometheus.yml").read_text().replace(": 15s", ": 500ms")
        for written, server in zip(("8001", "8002"), servers, strict=True):
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{server.port}")
        (folder / "prometheus.yml").write_text(text)
        port = free_port()
        flags = [f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={folder}/data"]
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", *flags]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=log)
        stack.callback(process.wait, PATIENCE)
        stack.callback(process.terminate)
        prometheus = Prometheus(port)
        eventually(lambda: prometheus.value("sum(up)") == 2, (folder / "log").read_text)
        for server in servers:
            predict(server)
        yield prometheus, servers


def test_the_rules_and_the_configuration_are_valid() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "rules.yml")
    promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_when_it_should_and_not_on_a_usual_day() -> None:
    promtool("test", "rules", "rules_test.yml")
    tested = set(re.findall(r"alertname: (\w+)", (FOLDER / "rules_test.yml").read_text()))
    assert tested == {rule["alert"] for rule in RULES if "alert" in rule}


def test_prometheus_counts_what_one_worker_and_two_have_answered(watched: tuple[Prometheus, list[Server]]) -> None:
    prometheus, servers = watched
    for server in servers:
        here = f'instance="127.0.0.1:{server.port}"'
        images = f"mnist_images_total{{{here}}}"
        eventually(lambda images=images: prometheus.value(images) == REQUESTS * IMAGES, "the images to be counted")
        assert prometheus.value(f"sum(mnist_predictions_total{{{here}}})") == REQUESTS * IMAGES
        assert prometheus.value(f'mnist_requests_total{{{here}, route="/predict", status="400"}}') == 1


@pytest.mark.parametrize("expression", SHOWN, ids=lambda expression: SHOWN[expression])
def test_every_expression_of_the_dashboard_has_data(watched: tuple[Prometheus, list[Server]], expression: str) -> None:
    prometheus, _ = watched
    eventually(lambda: prometheus.ask(expression), f"data of {expression}")


def test_what_the_rules_record_agrees_with_what_was_sent(watched: tuple[Prometheus, list[Server]]) -> None:
    prometheus, _ = watched
    eventually(lambda: prometheus.value("sum(mnist:labels:share15m)") == pytest.approx(1), "the classes' shares")
    assert prometheus.value("mnist:errors:share5m") == 0
    assert prometheus.ask('ALERTS{alertstate="firing"}') == []


def test_every_metric_that_rules_and_dashboard_name_is_one_of_the_service_or_recorded(
    watched: tuple[Prometheus, list[Server]],
) -> None:
    _, servers = watched
    text = servers[0].call("GET", "/metrics").body.decode()
    promtool("check", "metrics", given=text)
    exposed = set(re.findall(r"^(\w+)", text, flags=re.MULTILINE))
    known = exposed | {rule["record"] for rule in RULES if "record" in rule}
    named = set(re.findall(r"\b(?:mnist|process)[_:][\w:]+", " ".join([*SHOWN, *(rule["expr"] for rule in RULES)])))
    assert named <= known
