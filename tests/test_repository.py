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


def test_the_readmes_results_are_those_of_the_verdict() -> None:
    """Of the committed one, for another make of processor writes other digits; or of one about to be committed."""
    command = ["git", "show", "HEAD:reports/verdict.md"]
    committed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not committed:
        pytest.skip("did not run: this is no git checkout, so nobody knows which verdict was committed")
    tables = [text[text.index("| metric |") :] for text in (committed, (ROOT / "reports/verdict.md").read_text())]
    assert any(table in README for table in tables), "the README's table is another: paste that of reports/verdict.md"


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
    named = set(re.findall(r"[\w.-]+\.(?:py|yaml|lock|json|onnx|md|toml|js|mjs|html|css|csv|cpp|sh)\b", tree))
    listed = {Path(name).name for name in listed_files()}
    code = {name for name in listed if name.endswith(".py")} - {"__init__.py", "__main__.py"}
    assert not code - named, "the README's tree lacks these"
    assert not named - listed, "the README's tree names these, which are gone"
