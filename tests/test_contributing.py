"""The worked examples of CONTRIBUTING.md, done as they stand there: a new model, a new loss, a new data set."""

import io
import re
from pathlib import Path

from mnist_serving import Classifier
from ruamel.yaml import YAML

from stages.io import MODEL_FILE
from tests.conftest import ROOT
from tests.test_pipeline import dvc

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def named(block: str) -> tuple[Path, str]:
    """The file that a block's first line names, and the rest of the block."""
    first, _, rest = block.partition("\n")
    return Path(first.removeprefix("# ")), rest


def change(path: Path, difference: str) -> None:
    """Take out the lines with a minus, put those with a plus in their place, imports at the top."""
    text = path.read_text(encoding="utf-8")
    gone = [line[1:] for line in difference.splitlines() if line.startswith("-")]
    new = [line[1:] for line in difference.splitlines() if line.startswith("+")]
    imports = [line for line in new if line.startswith("from ")]
    assert text.count("\n".join(gone)) == 1
    text = text.replace("\n".join(gone), "\n".join(line for line in new if line not in imports))
    path.write_text(text.replace("\nfrom ", "\n" + "\n".join(imports) + "\nfrom ", 1), encoding="utf-8")


def test_a_new_box_is_one_file_and_its_name_in_one_place(project: Path) -> None:
    for block in blocks("python"):
        path, content = named(block)
        (project / path).write_text(content, encoding="utf-8")
    for block in blocks("diff"):
        path, content = named(block)
        change(project / path, content)
    yaml = YAML()
    params, wanted = yaml.load(project / "params.yaml"), yaml.load(io.StringIO(blocks("yaml")[0]))
    params["recipes"] |= wanted["recipes"]
    params["recipe"] = wanted["recipe"]
    params["data"] |= wanted["data"]
    del params["train"]["epochs"]  # the tests' own, which would go before the recipe's
    yaml.dump(params, project / "params.yaml")

    assert "parity passed: 300 images" in dvc(project, "repro", MNIST_MIRROR="")
    classifier = Classifier(project / MODEL_FILE)
    assert classifier.labels == ("upright", "lying")
    assert classifier.contract.image_shape == (1, 16, 16)
    assert float(classifier.metadata["accuracy"]) > 0.95
