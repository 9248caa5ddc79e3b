"""deploy/kubernetes, checked without a cluster: schemas, selectors, and that ports, flags and paths are the image's."""

import re
import subprocess
from pathlib import Path
from typing import Any

import mnist_serving
import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.http_server import Server
from tests.programs import installed, require

FOLDER = ROOT / "deploy/kubernetes"
RUNTIME, SERVICE = (FOLDER / "kserve" / name for name in ("serving-runtime.yaml", "inference-service.yaml"))
LABELS = {"app.kubernetes.io/name": "mnist-serving"}
CONTAINERFILE = (ROOT / "deploy/Containerfile").read_text(encoding="utf-8")
Manifest = dict[str, Any]


def read(path: Path) -> Manifest:
    """Return a manifest."""
    content: Manifest = YAML(typ="safe").load(path)
    return content


@pytest.fixture(scope="module")
def rendered() -> str:
    """What `kubectl apply -k` would send."""
    require("kubectl", package="kubernetes-client")
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def manifests(rendered: str) -> dict[str, Manifest]:
    """The same, by kind."""
    return {manifest["kind"]: manifest for manifest in YAML(typ="safe").load_all(rendered)}


def containers(manifests: dict[str, Manifest]) -> list[Manifest]:
    """The container of the Deployment and that of KServe's runtime."""
    (ours,) = manifests["Deployment"]["spec"]["template"]["spec"]["containers"]
    (kserves,) = read(RUNTIME)["spec"]["containers"]
    return [ours, kserves]


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    """Compare a file with the schemas of Kubernetes; a key that they do not know is an error."""
    command = [installed("kubernetes", "kubernetes-validate"), "--strict", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def build(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Build KServe's objects with its SDK."""
    script = ROOT / "tests/http_clients/kserve_models.py"
    return subprocess.run([installed("kserve"), script, *paths], capture_output=True, text=True, check=False)


def test_every_manifest_follows_kubernetes_schemas(rendered: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(rendered)
    done = validate(tmp_path / "all.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "wrong.yaml").write_text(rendered.replace("readinessProbe", "readynessProbe"))
    assert validate(tmp_path / "wrong.yaml").returncode != 0


def test_every_selector_picks_these_pods_and_no_others(manifests: dict[str, Manifest]) -> None:
    deployment, pod = manifests["Deployment"]["spec"], manifests["Deployment"]["spec"]["template"]
    assert pod["metadata"]["labels"] == LABELS
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    budget, policy = manifests["PodDisruptionBudget"]["spec"], manifests["NetworkPolicy"]["spec"]
    selectors = [each["selector"] for each in (deployment, budget)] + [policy["podSelector"], spread["labelSelector"]]
    assert selectors == [{"matchLabels": LABELS}] * 4
    assert manifests["Service"]["spec"]["selector"] == LABELS
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifests["Deployment"]["metadata"]["name"])


def test_ports_users_and_images_are_those_of_the_containerfile(manifests: dict[str, Manifest]) -> None:
    port = int(re.findall(r"^EXPOSE (\d+)", CONTAINERFILE, flags=re.MULTILINE)[0])
    for container in containers(manifests):
        assert [each["containerPort"] for each in container["ports"]] == [port]
        assert container["image"] == f"registry.example.org/mnist-serving:{mnist_serving.__version__}"
    assert manifests["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    assert manifests["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == "http"
    pod = manifests["Deployment"]["spec"]["template"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    user = pod["spec"]["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in CONTAINERFILE


def test_flags_exist_and_the_pod_has_time_for_its_grace(manifests: dict[str, Manifest]) -> None:
    shown = subprocess.run(["mnist-serving", "serve", "--help"], capture_output=True, text=True, check=True).stdout
    for container in containers(manifests):
        command, *flags = container["args"]
        values = dict(zip(flags[::2], flags[1::2], strict=True))
        assert command == "serve"
        assert all(f" {flag} " in shown for flag in values)
        assert float(values["--linger"]) < float(values["--grace"])
    most = manifests["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert float(values["--grace"]) < most


def test_every_probe_asks_a_path_that_the_service_answers(manifests: dict[str, Manifest], server: Server) -> None:
    for container in containers(manifests):
        for probe, kind in (("readinessProbe", "ready"), ("livenessProbe", "live")):
            path = container[probe]["httpGet"]["path"]
            assert path.endswith(kind)
            assert server.call("GET", path).status == 200


def test_kserves_own_models_take_its_manifests_and_refuse_a_typing_error(tmp_path: Path) -> None:
    done = build(RUNTIME, SERVICE)
    assert done.returncode == 0, done.stderr
    (tmp_path / "wrong.yaml").write_text(SERVICE.read_text().replace("storageUri", "storageURI"))
    assert "has no storageURI" in build(tmp_path / "wrong.yaml").stderr


def test_kserves_service_names_the_runtime_and_the_model_that_the_service_serves(server: Server) -> None:
    runtime, service = read(RUNTIME), read(SERVICE)
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [each["name"] for each in runtime["spec"]["supportedModelFormats"]]
    assert server.call("GET", f"/v2/models/{service['metadata']['name']}/ready").status == 200
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
