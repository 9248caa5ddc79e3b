"""What is committed fits together: outputs with code, README and docs with both."""

import json
import re
import subprocess
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.recipe import fill
from tests.conftest import ROOT
from tests.test_pipeline import STAGES, outputs_of, paths_of

LOCK = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
PAGES = {"README.md": README} | DOCS


def blocks(language: str, page: str = README) -> list[str]:
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def listed_files() -> set[str]:
    """Every file that git tracks; without git, nothing."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def versions_of(name: str) -> list[str]:
    """The committed text of an output, for another make of processor writes other digits; and that to be committed."""
    done = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("did not run: without git nobody knows which results were committed")
    return [done.stdout, (ROOT / name).read_text(encoding="utf-8")]


def digest_of(path: Path) -> str:
    """The MD5 that DVC gives a file, or a folder of files."""
    if path.is_file():
        return md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = [{"md5": digest_of(file), "relpath": file.name} for file in sorted(path.iterdir()) if file.is_file()]
    return md5(json.dumps(files, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def test_the_lock_has_the_stages_of_the_pipeline() -> None:
    assert set(LOCK) == set(STAGES), "DVC leaves a removed stage in dvc.lock: delete it there"


@pytest.mark.parametrize("stage", LOCK)
def test_the_outputs_were_made_by_the_code_and_files_that_are_here(stage: str) -> None:
    for entry in LOCK[stage]["deps"] + LOCK[stage]["outs"]:
        path = ROOT / entry["path"]
        if path.exists():
            assert digest_of(path) == entry["md5"], f"{entry['path']} is not that of dvc.lock: run `make repro`"


def test_no_data_weights_or_pictures_of_test_images_are_under_git() -> None:
    forbidden = (".safetensors", ".gz", ".pt", ".whl", ".png", ".jpg", ".gif", ".webp")
    found = [name for name in listed_files() if name.endswith(forbidden) or "ubyte" in name]
    assert set(found) <= {"docs/page.png"}  # drawn by benchmarks/screenshot.py
    assert (ROOT / "docs/page.png").stat().st_size < 150_000


# --- README and docs -----------------------------------------------------------------------------------


def test_the_readme_is_a_page_and_the_docs_are_short() -> None:
    assert len(README.splitlines()) <= 150
    assert {name: page for name, page in DOCS.items() if len(page.splitlines()) > 200} == {}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    links = re.findall(r"\]\(([^)]+)\)", PAGES[name])
    for link in links:
        target, _, anchor = link.partition("#")
        path = folder / target if target else folder / name
        assert path.exists(), link
        headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}, (
            link
        )


def cells(row: str) -> int:
    """How many cells GitHub sees in a row of a table: only a backslash keeps a `|` from ending one, in code as well."""
    return row.replace(r"\|", "").strip().removeprefix("|").removesuffix("|").count("|") + 1


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md"])
def test_every_row_of_a_table_has_as_many_cells_as_its_head(name: str) -> None:
    page = PAGES.get(name) or (ROOT / name).read_text(encoding="utf-8")
    prose = re.sub(r"^( *```).*?^\1$", "", page, flags=re.MULTILINE | re.DOTALL)
    for table in re.findall(r"(?:^ *\|.*\n)+", prose, flags=re.MULTILINE):
        head, *rows = table.splitlines()
        assert re.fullmatch(r"[ |:-]+", rows[0]), f"no table: {head}"
        assert [row for row in rows if cells(row) != cells(head)] == []


@pytest.mark.parametrize(
    ("row", "number"),
    [("| a | b |", 2), ("  | a | |", 2), ("|a||", 2), (r"| a \| b | c |", 2), (r"| `a \| b` |", 1), ("| `a | b` |", 2)],
)
def test_cells_are_counted_as_github_does(row: str, number: int) -> None:
    assert cells(row) == number


def test_the_readme_links_every_page_of_the_docs() -> None:
    assert set(re.findall(r"\(docs/([a-z]+\.md)", README)) == set(DOCS)


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_a_page_names_exists(name: str) -> None:
    named = re.findall(
        r"`((?:stages|serving|tests|benchmarks|examples|recipes|reports)/[\w./]*|[a-z]+\.(?:yaml|json|lock))`",
        PAGES[name],
    )
    made = {output for stage in STAGES for output in outputs_of(stage)}
    away = {
        "image.json",
        "model.json",
        "dataset.json",
        "package.json",
    }  # files of others, or named without their folder
    assert [file for file in named if not (ROOT / file).exists() and file not in made | away] == []


def test_the_verdict_in_the_docs_is_the_committed_one() -> None:
    tables = [text[text.index("| metric |") :] for text in versions_of("reports/verdict.md")]
    assert any(table in DOCS["benchmarks.md"] for table in tables), "paste the table of reports/verdict.md"


@pytest.mark.parametrize(
    ("loop", "row", "images"),
    [
        ("the tutorial's", "the tutorial's program", 5 * 60_000),
        ("the loop of `tutorial`", "recipe `tutorial`", 5 * 55_000),
        ("the loop of `accurate`", "recipe `accurate`", 160 * 60_000),  # with the drawn digits
    ],
)
def test_images_a_second_follow_from_the_measured_training_loops(loop: str, row: str, images: int) -> None:
    (seconds,) = re.findall(rf"^\| {loop} \| ([\d.]+) s", DOCS["benchmarks.md"], flags=re.MULTILINE)
    (rate,) = re.findall(rf"^\| {row}.* \| ([\d,]+) \|$", DOCS["scaling.md"], flags=re.MULTILINE)
    assert float(rate.replace(",", "")) == pytest.approx(images / float(seconds), rel=0.005)


def test_the_readmes_figures_are_those_of_the_committed_outputs() -> None:
    def written(verdict: Any, parity: Any) -> list[str]:  # noqa: ANN401 (JSON is what they are)
        return [
            f"{verdict['correct']:,} of {verdict['total']:,} test images right",
            f"{verdict['train_accuracy']:.2%} on the training images, {verdict['accuracy']:.2%} on the test images",
            f"seed {params['train']['seed']}: {100 * verdict['accuracy']:.2f} %",
            f"## Why you can trust the {100 * verdict['accuracy']:.2f} %",
            f"abstains from {100 * verdict['abstained']:.1f} % of the test images",
            f"{parity['images']:,} images, {parity['argmax_mismatches']} argmax mismatches",
            f"largest |logit difference| {parity['max_abs_logit_diff']}",
        ]

    prose = " ".join(README.split())
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    pairs = zip(versions_of("metrics.json"), versions_of("reports/parity.json"), strict=True)
    lacking = [[text for text in written(*map(json.loads, pair)) if text not in prose] for pair in pairs]
    assert [] in lacking, lacking


def test_the_readmes_recipes_are_those_in_the_folder_and_the_stages_those_of_dvc() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* ± ", README, flags=re.MULTILINE)
    assert {"accurate", *rows} <= {path.stem for path in (ROOT / "recipes").glob("*.yaml")}  # and anybody's own
    stages = README[README.index("| stage | reads | writes |") :]
    assert re.findall(r"^\| `(\w+)` \|", stages, flags=re.MULTILINE) == list(STAGES)


def test_the_stages_that_read_test_images_are_those_that_the_readme_names() -> None:
    readers = [stage for stage in STAGES if "data/test.safetensors" in STAGES[stage].get("deps", [])]
    assert readers == re.findall(r"^\| `(\w+)` \| \*\*test images\*\*", README, flags=re.MULTILINE)
    assert f"only `{readers[0]}` and `{readers[1]}` may read" in README


def test_the_readmes_change_can_be_made_and_runs_the_stages_that_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (difference,) = blocks("diff")
    section, removed, added = difference.splitlines()
    params = fill((ROOT / "params.yaml").read_text(), "accurate")  # as it is committed, whatever was tried since
    assert f"\n{section.strip()}" in params
    assert f"\n{removed[1:]}\n" in params
    assert removed.split(":")[0][1:] == added.split(":")[0][1:]
    rerun, changed = [], set[str]()
    for stage in ("download", "train", "detector", "calibrate", "evaluate", "export", "parity"):
        uses = {entry.partition(".")[0] for entry in STAGES[stage].get("params", [])}
        if section.strip(" :") in uses or changed & set(paths_of(STAGES[stage].get("deps", []))):
            rerun.append(stage)
            changed |= set(outputs_of(stage))
    skipped = [stage for stage in STAGES if stage not in rerun]
    told = f"skips {' and '.join(skipped)}; runs {', '.join(rerun[:-1])} and {rerun[-1]}"
    assert told in README


def test_the_python_of_readme_and_docs_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("README.md", "service.md"):  # test_embedding.py and test_http_docs.py run those that need more
        *_, block = blocks("python", PAGES[name])
        exec(compile(block, name, "exec"), {})  # noqa: S102 (the page's own words)
    assert re.fullmatch(r"1 [01]\.\d\d False\n", capsys.readouterr().out)


@pytest.mark.parametrize("name", sorted(PAGES.keys() - {"experiments.md", "team.md"}))  # which tests of their own type
def test_the_commands_of_a_page_are_targets_of_make_or_run(name: str, tmp_path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for line in "".join(blocks("sh", PAGES[name])).splitlines():
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
