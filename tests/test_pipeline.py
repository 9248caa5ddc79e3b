"""The pipeline as DVC runs it: what each stage depends on, and the same bytes every time."""

import ast
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, edit_params, make_project

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def paths_of(entries: list[Any]) -> list[str]:
    """Paths in a list of `dvc.yaml`, whose entries may be mappings with options; own pictures are in a folder."""
    paths = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return [path.replace("${download.folder.path}", "pictures/") for path in paths]


def outputs_of(stage: str) -> list[str]:
    return paths_of(STAGES[stage].get("outs", []) + STAGES[stage].get("metrics", []))


def imported_files(module: Path) -> Iterator[Path]:
    """Files of the repository that a module imports by itself; importing a module imports its packages too."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(module.relative_to(ROOT / "serving").parent.parts) if node.level else ""
            base = ".".join(filter(None, [package, node.module or ""]))
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            place = ROOT.joinpath(*(["serving"] if name.startswith("mnist_serving") else []), *name.split("."))
            packages = [folder / "__init__.py" for folder in (place, *place.parents)]
            yield from (path for path in (place.with_suffix(".py"), *packages) if path.is_file())


def import_closure(module: Path) -> set[str]:
    found: set[Path] = set()
    waiting = [module, ROOT / "stages/__init__.py", module.parent / "__init__.py"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(imported_files(path))
    return {path.relative_to(ROOT).as_posix() for path in found}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(stage: str) -> None:
    module = ROOT.joinpath(*STAGES[stage]["cmd"].split()[2].split("."))
    entry = module.with_suffix(".py")
    listed = {path for path in paths_of(STAGES[stage]["deps"]) if path.endswith((".py", "/")) and path != "pictures/"}
    folders = {path for path in listed if path.endswith("/")}
    wanted = {next((folder for folder in folders if path.startswith(folder)), path) for path in import_closure(entry)}
    assert listed == wanted


def test_the_stages_list_few_pieces_of_their_own_code() -> None:
    listed = [path for stage in STAGES.values() for path in paths_of(stage["deps"])]
    assert len([path for path in listed if path.startswith("stages/")]) <= 60


def test_only_evaluate_and_parity_see_the_test_file() -> None:
    assert [stage for stage in STAGES if "data/test.safetensors" in paths_of(STAGES[stage]["deps"])] == [
        "evaluate",
        "parity",
    ]


def dvc(folder: Path, *arguments: str, **environment: str) -> str:
    """Run DVC; return what it printed."""
    done = subprocess.run(
        ["dvc", *arguments],
        cwd=folder,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every output of the pipeline and of its lock file."""
    names = ["dvc.lock", *(name for stage in STAGES for name in outputs_of(stage))]
    return {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory, idx_files: Mapping[str, bytes]) -> Path:
    """The made-up project, after `dvc repro`."""
    folder = tmp_path_factory.mktemp("reproduced")
    mirror = folder / "mirror"
    mirror.mkdir()
    for name, content in idx_files.items():
        (mirror / name).write_bytes(content)
    checksums = {name: sha256(content).hexdigest() for name, content in idx_files.items()}
    project = make_project(folder / "project", mirror, checksums)
    dvc(project, "repro", MNIST_MIRROR="")
    return project


@pytest.fixture
def copied(reproduced: Path, tmp_path: Path) -> Path:
    """A copy of the reproduced project to do things to."""
    return Path(shutil.copytree(reproduced, tmp_path / "copy", symlinks=True))


def files_under(folder: Path) -> Iterator[str]:
    """Every file but bytecode."""
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix()


def run_stage(stage: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        STAGES[stage]["cmd"].split(),
        cwd=folder,
        env=ENVIRONMENT | {"MNIST_MIRROR": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_needs_what_it_lists_and_nothing_else(stage: str, reproduced: Path, tmp_path: Path) -> None:
    needed = [*paths_of(STAGES[stage]["deps"]), "params.yaml"]
    for name in needed:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if name.endswith("/") else shutil.copyfile
        copy(reproduced / name, tmp_path / name)
    before = set(files_under(tmp_path))
    done = run_stage(stage, tmp_path)
    assert done.returncode == 0, done.stderr
    new = set(files_under(tmp_path)) - before
    assert new == set(outputs_of(stage))
    assert all((tmp_path / name).read_bytes() == (reproduced / name).read_bytes() for name in new)
    for name in paths_of(STAGES[stage]["deps"]):
        if not name.endswith((".py", "/")):
            (tmp_path / name).unlink()
            failed = run_stage(stage, tmp_path)
            assert failed.returncode == 1
            assert name in failed.stderr
            shutil.copyfile(reproduced / name, tmp_path / name)


def test_a_second_repro_does_nothing(copied: Path) -> None:
    assert "Data and pipelines are up to date." in dvc(copied, "repro")


def test_everything_deleted_comes_back_the_same_in_another_folder(reproduced: Path, copied: Path) -> None:
    for name in ("data", "models", "reports", "metrics.json", "dvc.lock", ".dvc/cache", ".dvc/tmp"):
        path = copied / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    dvc(copied, "repro")
    assert digests(copied) == digests(reproduced)


def test_neither_one_core_nor_what_the_environment_says_of_threads_and_instruction_sets_changes_the_bytes(
    reproduced: Path, copied: Path
) -> None:
    environment = {"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8", "PYTHONHASHSEED": "7"}
    environment |= {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        dvc(copied, "repro", "--force", "--single-item", "detector", "train", "calibrate", "evaluate", **environment)
    finally:
        os.sched_setaffinity(0, cores)
    assert digests(copied) == digests(reproduced)


def test_with_all_cores_busy_the_bytes_are_the_same(reproduced: Path, copied: Path) -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        dvc(copied, "repro", "--force", "--single-item", "detector", "train")  # whose batches a second thread makes
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert digests(copied) == digests(reproduced)


def wait_until_at_work(stage: str, running: subprocess.Popen[str], folder: Path) -> None:
    """Return when a stage, whose outputs DVC has removed, has trained an epoch or begins to write the first of them."""
    assert running.stdout is not None
    begin = "epoch 1/" if stage == "train" else "> python -m"
    assert any(line.startswith(begin) for line in running.stdout)
    outputs = [folder / name for name in outputs_of(stage)]
    signs = [] if stage == "train" else [*outputs, *(path.with_name(f"{path.name}.tmp") for path in outputs)]
    while signs and not any(path.exists() for path in signs):
        assert running.poll() is None


@pytest.mark.parametrize("stage", STAGES)
def test_killed_in_any_stage_the_next_repro_ends_in_the_same_bytes(reproduced: Path, copied: Path, stage: str) -> None:
    with subprocess.Popen(
        ["dvc", "repro", "--force", "--single-item", stage],
        cwd=copied,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        wait_until_at_work(stage, running, copied)
        os.killpg(running.pid, signal.SIGKILL)
    dvc(copied, "repro")
    assert digests(copied) == digests(reproduced)


def test_a_python_without_the_packages_is_told_in_one_line(reproduced: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); import stages.download"],
        cwd=reproduced,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "lacks font_manrope, numpy, onnxscript, " in done.stderr
    assert "make repro" in done.stderr


def test_wrong_parameters_stop_dvc_before_training(copied: Path) -> None:
    edit_params(copied, train__batch_size=0)
    done = subprocess.run(["dvc", "repro"], cwd=copied, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "`train.batch_size` is 0; it must be greater than 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_output_names_a_folder_of_this_machine(reproduced: Path) -> None:
    for name in digests(reproduced):
        content = (reproduced / name).read_bytes()
        for folder in (reproduced, ROOT, Path.home(), Path(sys.prefix)):
            assert str(folder).encode() not in content, name
