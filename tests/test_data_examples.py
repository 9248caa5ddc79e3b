"""The two examples of docs/data.md, drawn, trained and asked as they stand there."""

import re
import shutil
from pathlib import Path

import pytest
from mnist_serving import cli

from stages import download, parity
from stages.data import load_dataset_info
from stages.io import MODEL_FILE
from tests.conftest import ROOT, edit_params
from tests.test_datasets import run_pipeline

TEXT = (ROOT / "docs/data.md").read_text(encoding="utf-8")
EXAMPLES = {"uci_digits": "### Somebody else's digits", "folder": "## Your own pictures"}


def example(dataset: str) -> tuple[str, list[str], list[str]]:
    """Return an example's program, the lines that the stages print, and a file with its answer."""
    text = TEXT[TEXT.index(EXAMPLES[dataset]) :]
    programs = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    said = re.findall(r"^(?:.* test images.*|parity passed.*)$", text, flags=re.MULTILINE)[:3]
    (asked, *_) = re.findall(r"^\$ mnist-serving predict (\S+)\n(.*)$", text, flags=re.MULTILINE)
    return programs[0], said, [*asked]


@pytest.mark.parametrize("dataset", EXAMPLES)
def test_the_examples_data_sets_are_as_the_page_says(
    project: Path, capsys: pytest.CaptureFixture[str], dataset: str
) -> None:
    program, said, (file, _) = example(dataset)
    exec(compile(program, "docs/data.md", "exec"), {})  # noqa: S102 (it is ours)
    edit_params(project, data__dataset=dataset)
    download.main()
    assert said[0] in capsys.readouterr().out.splitlines()
    assert load_dataset_info().shape == {"uci_digits": (1, 28, 28), "folder": (1, 32, 32)}[dataset]
    assert (project / file).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("dataset", EXAMPLES)
def test_an_example_ends_as_the_page_says(project: Path, capsys: pytest.CaptureFixture[str], dataset: str) -> None:
    program, said, (file, answer) = example(dataset)
    exec(compile(program, "docs/data.md", "exec"), {})  # noqa: S102 (it is ours)
    shutil.copy(ROOT / "params.yaml", project)
    edit_params(project, data__dataset=dataset)
    run_pipeline()
    parity.main()
    assert set(said) <= set(capsys.readouterr().out.splitlines())
    with pytest.raises(SystemExit, match="0"):
        cli.main(["predict", "--model", str(MODEL_FILE), file])
    assert capsys.readouterr().out == f"{answer}\n"
