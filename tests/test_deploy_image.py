"""deploy/Containerfile, built by buildah on a base of Debian's packages, run by runc and Docker: without a registry."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.balancers import Load, ask, free_port
from tests.conftest import ROOT
from tests.docker import Docker, running_docker
from tests.http_server import BODY, ENVIRONMENT, PATIENCE, Server, eventually
from tests.programs import installed
from tests.test_deploy_docs import PAGE, default_of, lines_of

CONTAINERFILE = ROOT / "deploy/Containerfile"
COMPOSE = YAML(typ="safe").load(ROOT / "deploy/compose.yaml")["services"]
PROGRAMS = ("buildah", "mmdebstrap", "runc", "umoci")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"  # those of this machine: its network may have its own
BASE = "localhost/debian-python"
LARGEST = 250 * 1024**2  # bytes above the base
Config = dict[str, Any]


def run(*command: str, folder: Path = ROOT) -> str:
    """Run a program; return what it printed."""
    settings = ENVIRONMENT | {"BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def make_base(archive: Path, packages: str) -> None:
    """Write an archive of Debian with some packages and nothing else, from where apt takes its own."""
    listing = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages")
    mirror, suite = next(line.split() for line in listing.splitlines() if re.search(r"/debian/? [a-z]+$", line))
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", suite, str(archive), mirror)


def size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """What `make image` makes: its settings, and a bundle for runc beside an archive for Docker."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"did not run: it needs root and {', '.join(PROGRAMS)}; missing: {', '.join(missing) or 'root'}")
    folder = tmp_path_factory.mktemp("image")
    buildah = f"buildah --root {folder}/storage --runroot {folder}/run"
    container = run(*buildah.split(), "from", "scratch").strip()
    make_base(folder / "base.tar", "python3,python3-venv,ca-certificates")
    run(*buildah.split(), "add", "--quiet", container, str(folder / "base.tar"), "/")
    run(*buildah.split(), "commit", "--quiet", container, BASE)
    flags = f"--network host --pull-never --build-arg BASE={BASE} --volume {CERTIFICATES}:{CERTIFICATES}:ro"
    (line,) = lines_of("make image")
    run(*line.split(), f"BUILDER={buildah}", f"BUILD_FLAGS={flags}")
    settings = json.loads(run(*buildah.split(), "inspect", "--type", "image", "mnist-serving"))["Docker"]["config"]
    run(*buildah.split(), "push", "--quiet", "mnist-serving", f"oci:{folder}/oci:latest")
    run(*buildah.split(), "push", "--quiet", "mnist-serving", f"docker-archive:{folder}/image.tar:mnist-serving")
    run("umoci", "unpack", "--image", f"{folder}/oci:latest", str(folder / "bundle"))
    run(*buildah.split(), "rm", container)
    return settings, folder / "bundle"


@contextmanager
def container(bundle: Path, port: int, *flags: str) -> Iterator[Server]:
    """Run the image as an orchestrator would: no capabilities, nothing to write to; on this host's network."""
    config = json.loads((bundle / "config.json").read_text())
    process = config["process"]
    process["terminal"], process["capabilities"] = False, {}
    process["args"] = ["mnist-serving", "serve", *flags]
    process["env"] += ["MNIST_SERVING_HOST=127.0.0.1", f"MNIST_SERVING_PORT={port}"]
    config["root"]["readonly"] = True
    config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] != "network"]
    (bundle / "config.json").write_text(json.dumps(config))
    name = f"mnist-serving-{port}"
    running = subprocess.Popen(["runc", "run", "--bundle", str(bundle), name], stderr=subprocess.PIPE, text=True)
    server = Server(port, running, [])
    try:
        eventually(lambda: is_ready(server), "the container to be ready")
        yield server
    finally:
        if running.poll() is None:
            subprocess.run(["runc", "kill", name, "KILL"], check=False)
        running.communicate(timeout=PATIENCE)


def is_ready(server: Server) -> bool:
    """Tell whether a server answers that it is ready."""
    assert server.process.poll() is None, server.process.stderr and server.process.stderr.read()
    try:
        return server.call("GET", "/v2/health/ready").status == 200
    except OSError:
        return False


def status_of(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_container_answers_without_rights_and_ends_at_sigterm_with_0(
    image: tuple[Config, Path], workers: str
) -> None:
    port = free_port()
    with container(image[1], port, "--workers", workers) as server:
        reply = server.call("POST", "/predict", BODY, Content_Type="application/json")
        assert reply.status == 200
        first = json.loads(run("runc", "state", f"mnist-serving-{port}"))["pid"]
        status = status_of(first)
        assert status["NSpid"].split()[-1] == "1"  # so it is the one that gets the signal
        assert set(status["Uid"].split()) == {"10001"}
        assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
        assert status["NoNewPrivs"] == "1"
        assert server.stop() == 0


@pytest.mark.slow
def test_the_image_has_telemetry_off(image: tuple[Config, Path]) -> None:
    with container(image[1], free_port()) as server:
        script = "import os, mnist_serving; print(os.environ['ORT_DISABLE_TELEMETRY'])"
        assert run("runc", "exec", f"mnist-serving-{server.port}", "python3", "-c", script) == "1\n"


@pytest.fixture(scope="module")
def docker(image: tuple[Config, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """Docker with the image, and with Debian's HAProxy under the name that compose.yaml asks for."""
    folder = tmp_path_factory.mktemp("docker")
    with running_docker(folder) as ask:
        ask("docker", "load", "--input", str(image[1].with_name("image.tar")))
        make_base(folder / "balancer.tar", "haproxy")
        start = 'CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]'
        flags = ["--change", "USER haproxy", "--change", start]
        ask("docker", "import", *flags, str(folder / "balancer.tar"), COMPOSE["balancer"]["image"])
        yield ask


def is_up(replica: str) -> bool:
    """Tell whether the balancer's own page shows a replica as up."""
    return re.search(rf"^mnist,{replica},.*,UP,", ask(8404, "GET", "/;csv")[1].decode(), flags=re.MULTILINE) is not None


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_pages_docker_command_runs_a_healthy_container_that_ends_with_0(docker: Docker) -> None:
    (line,) = lines_of("docker run")
    program, action, *flags = shlex.split(line)
    name = docker(program, action, "--detach", *flags)
    eventually(lambda: docker("docker", "inspect", "--format", "{{.State.Health.Status}}", name) == "healthy", name)
    assert ask(8000, "POST", "/predict", BODY)[0] == 200
    docker("docker", "stop", name)
    assert docker("docker", "inspect", "--format", "{{.State.ExitCode}}", name) == "0"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_compose_runs_two_replicas_and_rolls_them_without_losing_a_request(docker: Docker) -> None:
    start, *rolling = lines_of("docker compose")
    docker(*shlex.split(start))
    try:
        eventually(lambda: is_up("one") and is_up("two"), "the balancer to see both")
        load = Load(8080, BODY, ask(8080, "POST", "/predict", BODY)[1])
        with load.running():
            for line in rolling:
                docker(*shlex.split(line))
                eventually(lambda line=line: is_up(line.split()[-1]), "the balancer to see it")
                load.more()
        assert set(load.outcomes) == {200}, load.outcomes
    finally:
        docker(*shlex.split(start)[:4], "down")


@pytest.mark.slow
def test_the_image_is_small_and_has_neither_pip_nor_a_shell_in_front(image: tuple[Config, Path]) -> None:
    settings, bundle = image
    rootfs = bundle / "rootfs"
    assert settings["Entrypoint"] == ["mnist-serving"]
    assert settings["User"] == "10001:10001"
    assert size(rootfs / "opt/mnist-serving") < LARGEST
    assert [
        *rootfs.glob("**/site-packages/pip"),
        *rootfs.glob("**/dist-packages/pip"),
        *rootfs.glob("**/pip-*.whl"),
    ] == []
    told = re.findall(r"adds (\d+) MB to its base", PAGE)
    assert float(told[0]) == pytest.approx(size(rootfs / "opt/mnist-serving") / 1e6, rel=0.05)


@pytest.mark.slow
def test_the_health_check_passes_in_the_container_and_fails_where_nothing_listens(
    image: tuple[Config, Path],
) -> None:
    settings, bundle = image
    kind, *command = settings["Healthcheck"]["Test"]
    assert kind == "CMD"
    port = free_port()
    with container(bundle, port):
        run("runc", "exec", f"mnist-serving-{port}", *command)
        elsewhere = ["runc", "exec", "--env", f"MNIST_SERVING_PORT={free_port()}", f"mnist-serving-{port}", *command]
        assert subprocess.run(elsewhere, capture_output=True, check=False).returncode == 1


def test_the_containerfile_follows_the_linters_rules() -> None:
    run(installed("hadolint", "hadolint"), str(CONTAINERFILE))


def test_the_builder_is_sent_the_package_and_nothing_else() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert sorted(allowed) == ["LICENSE", "pyproject.toml", "requirements.lock", "serving"]


def test_make_image_says_which_programs_could_build_it() -> None:
    done = subprocess.run(["make", "image", "BUILDER="], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs docker, podman or buildah" in done.stderr


def test_composes_replicas_are_those_that_the_balancer_asks() -> None:
    balancer = COMPOSE["balancer"]["environment"]
    assert {balancer["MNIST_ONE"], balancer["MNIST_TWO"]} == {"one:8000", "two:8000"}
    config = (ROOT / "deploy/haproxy.cfg").read_text()
    assert set(re.findall(r"\$\{(\w+)", config)) == {*balancer, "MNIST_BIND"}
    assert "EXPOSE 8000" in CONTAINERFILE.read_text()


def test_compose_gives_a_replica_time_to_end_and_flags_that_exist() -> None:
    shown = run("mnist-serving", "serve", "--help")
    for replica in (COMPOSE["one"], COMPOSE["two"]):
        assert set(replica["environment"]) <= set(re.findall(r"MNIST_SERVING_\w+", shown))
        assert default_of("grace") < float(replica["stop_grace_period"].rstrip("s"))
