"""What is committed fits together: outputs with code, README with both."""

import json
import re
import subprocess
from hashlib import md5
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

LOCK = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def listed_files() -> set[str]:
    """Every file that git tracks, or would; without git, nothing."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def digest_of(path: Path) -> str:
    """The MD5 that DVC gives a file, or a folder of modules."""
    if path.is_file():
        return md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = [{"md5": digest_of(file), "relpath": file.name} for file in sorted(path.glob("*.py"))]
    return md5(json.dumps(files, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


@pytest.mark.parametrize("stage", LOCK)
def test_the_outputs_were_made_by_the_code_and_files_that_are_here(stage: str) -> None:
    for entry in LOCK[stage]["deps"] + LOCK[stage]["outs"]:
        path = ROOT / entry["path"]
        if path.exists():
            assert digest_of(path) == entry["md5"], f"{entry['path']} is not that of dvc.lock: run `make repro`"


def test_no_data_weights_or_pictures_of_test_images_are_under_git() -> None:
    forbidden = (".safetensors", ".gz", ".pt", ".whl", ".png")
    assert not [name for name in listed_files() if name.endswith(forbidden) or "ubyte" in name]


def test_the_readmes_results_are_those_of_the_metrics() -> None:
    """Up to what another make of processor changes."""
    rows = dict(re.findall(r"^\| (\w+) \| ([^|]+) \|$", README, flags=re.MULTILINE))
    metrics = json.loads((ROOT / "metrics.json").read_text())
    for name, value in metrics.items():
        assert name in rows, f"the README's table lacks {name}: paste reports/verdict.md"
        if isinstance(value, float):
            assert float(rows[name]) == pytest.approx(value, abs=0.03), name
    assert float(rows["accuracy"]) == pytest.approx(metrics["accuracy"], abs=0.003)


def test_the_readmes_python_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102 (the README's own words)
    assert re.fullmatch(r"1 [01]\.\d\d\n1 [01]\.\d\d False\n", capsys.readouterr().out)


def test_the_readmes_commands_are_targets_of_make_or_run(tmp_path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for line in "".join(blocks("sh")).splitlines():
        command = line.split("#")[0].split()
        if command[0] == "make":
            assert command[1] in targets
        else:
            extra = ["--out", str(tmp_path)] if command[:2] == ["dvc", "plots"] else []
            subprocess.run([*command, *extra], cwd=ROOT, check=True, capture_output=True)


def test_ci_runs_the_readmes_two_commands() -> None:
    script = (ROOT / ".ci/run").read_text().splitlines()
    assert blocks("sh")[0].splitlines() == ["make repro", "make test"]
    assert {"make repro", "make test"} <= set(script)


def test_the_readmes_tree_names_every_file_of_the_code() -> None:
    tree = next(block for block in blocks("text") if "stages/" in block and "params.yaml" in block)
    for name in listed_files():
        path = Path(name)
        if path.suffix == ".py" and path.name not in {"__init__.py", "__main__.py"}:
            assert path.name in tree, f"the README's tree lacks {name}"
    for name in re.findall(r"[\w.]+\.(?:py|yaml|lock|json|onnx|md|toml)\b", tree):
        assert any(listed.endswith(name) for listed in listed_files()), f"the README's tree names {name}, which is gone"
