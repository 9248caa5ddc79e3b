"""The worked examples of CONTRIBUTING.md, typed as they stand there: a new model, a new loss, a new data set."""

import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import onnx
from mnist_serving import Classifier

from stages.io import MODEL_FILE
from tests.conftest import ROOT
from tests.test_pipeline import ENVIRONMENT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def named(block: str) -> tuple[Path, str]:
    """The file that a block's first line names, and the rest of the block."""
    first, _, rest = block.partition("\n")
    return Path(first.removeprefix("# ")), rest


def change(path: Path, difference: str) -> None:
    """Replace the lines with a minus by those with a plus, imports at the top, unless somebody has done so already.

    Who has added a model of their own has another union than the guide: the new name goes to its end.
    """
    text = path.read_text(encoding="utf-8")
    gone = "\n".join(line[1:] for line in difference.splitlines() if line.startswith("-"))
    imported, *new = [line[1:] for line in difference.splitlines() if line.startswith("+")]
    if imported in text:
        return
    if gone in text:
        text = text.replace(gone, "\n".join(new))
    else:
        union, name = gone.partition("[")[0], imported.split()[-1]
        text, count = re.subn(rf"({re.escape(union)}\[[^,]+)", rf"\1 | {name}", text)
        assert count == 1, f"{path} has no line `{gone}`"
    path.write_text(text.replace("\nfrom stages.", f"\n{imported}\nfrom stages.", 1), encoding="utf-8")


def run(line: str, folder: Path) -> str:
    """Run a line of the guide; return what it printed."""
    command, environment = line.partition("#")[0].split(), ENVIRONMENT | {"MNIST_MIRROR": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_residual_network_a_loss_and_a_data_set_are_one_file_each_and_end_as_a_verified_onnx_file(
    project: Path, tmp_path: Path
) -> None:
    for block in [*blocks("python"), *blocks("yaml")]:
        path, content = named(block)
        (project / path).write_text(content, encoding="utf-8")
    for block in blocks("diff"):
        path, content = named(block)
        change(project / path, content)
    fill, check, repro = blocks("sh")[-1].splitlines()

    run(fill, project)
    assert "the model is residual, the data set stripes" in run(check, project)
    assert "parity passed: 300 images, 0 argmax mismatches" in run(repro, project)
    classifier = Classifier(project / MODEL_FILE)
    assert classifier.labels == ("vertical", "horizontal")
    assert classifier.contract.image_shape == (1, 16, 16)
    assert float(classifier.metadata["accuracy"]) > 0.95
    assert [entry.version for entry in onnx.load(project / MODEL_FILE).opset_import] == [18]

    copy = shutil.copytree(project, tmp_path / "another folder", symlinks=True)
    (copy / MODEL_FILE).unlink()
    run("python -m stages.export", copy)
    assert digest(copy / MODEL_FILE) == digest(project / MODEL_FILE)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


def test_the_guide_can_be_followed_beside_models_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "__init__.py"
    path.write_text("\nfrom stages.a import A\n\nModel = Annotated[A | Own, Field()]\n")
    difference = "+from stages.b import B\n-Model = Annotated[A, Field()]\n+Model = Annotated[A | B, Field()]\n"
    change(path, difference)
    followed = path.read_text()
    assert followed == "\nfrom stages.b import B\nfrom stages.a import A\n\nModel = Annotated[A | Own | B, Field()]\n"
    change(path, difference)
    assert path.read_text() == followed
