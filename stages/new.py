"""Start a project of your own from this one: its pipeline, package and service, under another name.

    python -m stages.new DEST NAME

What is about MNIST's model stays here: its outputs, measurements, examples, and the tests of what it answers. The copy
has no model until its first `make repro`, which trains on the pictures in its folder `pictures`.
"""

import keyword
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from stages.io import StageError, atomic_write, run

ROOT = Path(__file__).resolve().parents[1]
# The patterns of git for what is copied; what is about MNIST's model stays.
COPIED = """
stages serving recipes .dvc data models pictures docs/data.md docs/experiments.md
benchmarks/__init__.py benchmarks/browser.py benchmarks/seeds.py
Makefile LICENSE dvc.yaml params.yaml pyproject.toml requirements.lock .dvcignore .gitattributes .gitignore
:!stages/new.py :!serving/README.md :!serving/mnist_serving/model.* :!models/calibration.json
tests/__init__.py tests/conftest.py tests/drawing_page.py tests/firefox.py tests/handwriting.py tests/http_server.py
tests/leftovers.py tests/web_driver.py
"""
TESTS = (  # that hold whatever the model has learned
    *("augment", "boxes", "config", "data", "datasets", "download", "drawn", "evaluate", "experiments", "export", "io"),
    *("metrics", "mirrors", "own_pictures", "pipeline", "recipe", "tensors", "train"),
)
# Targets of the Makefile that do not go along, for their programs stay here.
TARGETS = ("bench", "new", "runtimes", "environments", "image", "triton", "slow")
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

README = """# {name}

A classifier of pictures: a pipeline, a package and a service, started from mnist-serving.

```sh
make repro   # train on pictures/<label>/*, evaluate, and write serving/{package}/model.onnx
make test    # linters, types and tests
make serve   # http://127.0.0.1:8000, and its model as /v2/models/{name}
```

Where the pictures belong, and what else can be trained on: `docs/data.md`.
"""


def list_files() -> list[str]:
    """Return the paths of the files that a copy has.

    Raises:
        StageError: git does not know this folder, so that nothing says which files belong to it.

    """
    command = ["git", "ls-files", "--", *COPIED.split(), *(f"tests/test_{name}.py" for name in TESTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode or not done.stdout:
        raise StageError(f"{ROOT} is not under git, which would say what to copy: clone the repository")
    return done.stdout.splitlines()


def rename(text: str, name: str) -> str:
    """Return a path or a text with the names of the package, its commands, variables, model and metrics replaced."""
    package = name.replace("-", "_")
    names = {
        "MNIST_SERVING": package.upper(),
        "MnistServing": "".join(part.capitalize() for part in name.split("-")),
        "mnist_serving": package,
        "mnist-serving": name,
        "models/mnist": f"models/{name}",
        'MODEL_NAME = "mnist"': f'MODEL_NAME = "{name}"',
        "MNIST digits, recognised": "Pictures, recognised",
        "Recognise handwritten digits": "Recognise pictures",
        '        "mnist",\n': f'        "{name}",\n',
    }
    text = re.sub(r"\bmnist_(?!serving)(?=[a-z])", "mnist_serving_", text)  # the metrics
    return re.sub("|".join(names), lambda found: names[found[0]], text)  # at once: a new name may hold an old one


def adapt(path: str, text: str, name: str) -> str:
    """Return the text of a file of the copy."""
    text = rename(text, name)
    if path == "Makefile":
        text = re.sub(rf"(?m)^(({'|'.join(TARGETS)}):.*\n)+(\t.*\n)+\n", "", text)
        text = re.sub(r"(?m)^(BUILDER|export BUILDAH_FORMAT) .*\n", "", text)
        text = re.sub(rf" ({'|'.join(TARGETS)})(?= )", "", text)
    elif path.startswith("docs/"):
        text = re.sub(r"(?ms)^## A project of your own.*?(?=^## )", "", text)
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)  # to pages that stay here
    elif path == "params.yaml":
        text = text.replace("  dataset: mnist", "  dataset: folder")
    elif path == "pyproject.toml":
        longer = 2 * max(0, len(name) - len("mnist-serving"))  # a line names it twice at most
        text = text.replace("line-length = 120", f"line-length = {120 + longer}")
        text = text.replace('readme = "serving/README.md"', 'readme = "README.md"')
        text = re.sub(r"(?m)^files = .*$", 'files = ["stages", "serving", "tests"]', text)
        text = re.sub(r"(?m)^mypy_path = .*$", 'mypy_path = ["serving"]', text)
        text = re.sub(r'(?m)^description = ".*"$', f'description = "{name}: pictures in, labels out"', text)
        text = re.sub(r"(?m)^keywords = .*\n", "", text)
    return text


def copy_to(folder: Path, name: str) -> None:
    """Write the copy into a folder that does not exist yet, or is empty.

    Raises:
        StageError: the folder or the name cannot be taken.

    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name in {"stages", "tests", "mnist-serving"}:
        raise StageError(f"NAME is {name!r}: write small letters, digits and single hyphens, such as my-project")
    package = name.replace("-", "_")
    if getattr(find_spec(package), "origin", None):  # a folder without code has none
        raise StageError(
            f"NAME is {name!r}, but Python has a module {package} already: write another, such as my-project"
        )
    if folder.exists() and any(folder.iterdir()):
        raise StageError(f"DEST is {folder}, which is not empty: name a folder that does not exist yet")
    for path in list_files():
        text = (ROOT / path).read_text(encoding="utf-8")
        atomic_write(folder / rename(path, name), adapt(path, text, name).encode())
    atomic_write(folder / "README.md", README.format(name=name, package=package).encode())
    atomic_write(folder / "CHANGELOG.md", b"# Changelog\n\n## Unreleased\n")
    ruff = [sys.executable, "-m", "ruff"]  # other names sort and wrap in another way
    for command in ([*ruff, "check", "--quiet", "--fix", "--exit-zero"], [*ruff, "format", "--quiet"]):
        subprocess.run(command, cwd=folder, check=False)  # noqa: S603
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)  # noqa: S607


def main(dest: str, name: str) -> None:
    """Start a project of your own from this one, under another name."""
    copy_to(Path(dest), name)
    print(f"{dest} is {name}. Next: put pictures into {dest}/pictures/<label>/, then `cd {dest} && make repro`")


if __name__ == "__main__":
    run(main, dest="a folder that does not exist yet", name="of the project, package and model: my-project")
