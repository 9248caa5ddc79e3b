"""The environments of the runtimes that are not installed beside the pipeline; `runtimes.py` and tests use them.

    python -m benchmarks.environments

Makes those that are missing, once, under `.venv-runtimes/` and in the `node_modules/` of `benchmarks/runners/` and
`examples/web/`; says in one line which could not be made and why, and then exits with 1. This, and nothing that uses
it, needs the network.
"""

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNNERS = ROOT / "benchmarks/runners"
ENVIRONMENTS = ROOT / ".venv-runtimes"
AT_A_TIME = 4
FIRST_FOR_NUMPY_2 = (1, 19)  # an older onnxruntime was built for numpy 1; before 1.18 it does not say so


class EnvironmentMissingError(Exception):
    """An environment is not there or cannot be made; the text says in one line what is needed."""


@dataclass(frozen=True)
class PythonEnvironment:
    """A virtual environment of its own for one runtime."""

    name: str
    requirements: tuple[str, ...]  # without a version: the oldest that has a wheel for this Python

    @property
    def folder(self) -> Path:
        """Where it is: one for each Python, and for each set of requirements."""
        digest = sha256(" ".join(self.requirements).encode()).hexdigest()[:8]
        return ENVIRONMENTS / f"{self.name}-{sysconfig.get_python_version()}-{digest}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin/python"

    def ready(self) -> bool:
        """It was made to the end."""
        return (self.folder / "installed").exists()

    def make(self) -> None:
        """Install it, replacing what is there."""
        venv.create(self.folder, clear=True, with_pip=True)
        pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--retries=1"]
        requirements = [wanted if "==" in wanted else oldest(wanted, pip) for wanted in self.requirements]
        run([*pip, "install", "--only-binary", ":all:", *" ".join(requirements).split()], self.folder)
        (self.folder / "installed").touch()


@dataclass(frozen=True)
class NodeEnvironment:
    """The packages of a folder's `package-lock.json`."""

    name: str
    folder: Path = RUNNERS

    def ready(self) -> bool:
        """It was made to the end, from the lock that is here."""
        mark = self.folder / "node_modules/installed"
        return mark.exists() and mark.read_text() == self._digest()

    def make(self) -> None:
        """Install it, replacing what is there."""
        if shutil.which("npm") is None:
            raise EnvironmentMissingError("npm is missing: install Node.js")
        run(["npm", "ci", "--silent"], self.folder)
        (self.folder / "node_modules/installed").write_text(self._digest())

    def _digest(self) -> str:
        return sha256((self.folder / "package-lock.json").read_bytes()).hexdigest()


def oldest(package: str, pip: Sequence[str]) -> str:
    """Return the requirement for the oldest version of onnxruntime that has a wheel for this Python, with its numpy."""
    listing = run([*pip, "index", "versions", "--only-binary", ":all:", package], ROOT)
    found = re.search(r"^Available versions: .*?([^\s,]+)$", listing, flags=re.MULTILINE)
    if found is None:
        raise EnvironmentMissingError(f"pip lists no version of {package}")
    version = found[1]
    major, minor = map(int, version.split(".")[:2])
    return f"{package}=={version}" + (" numpy<2" if (major, minor) < FIRST_FOR_NUMPY_2 else "")


def run(command: Sequence[str], folder: Path) -> str:
    """Run an installer; return what it printed.

    Raises:
        EnvironmentMissingError: it failed; its own last line says why.

    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise EnvironmentMissingError(reason)
    return done.stdout


def pinned(example: str) -> tuple[str, ...]:
    """Return what the `requirements.txt` of an example names."""
    return tuple((ROOT / "examples" / example / "requirements.txt").read_text(encoding="utf-8").split())


OLDEST_ONNXRUNTIME = PythonEnvironment("onnxruntime-oldest", ("onnxruntime",))
OPENCV_5 = PythonEnvironment("opencv-5", pinned("opencv"))
OPENCV_4 = PythonEnvironment("opencv-4", ("opencv-python-headless==4.14.0.94", "numpy==2.4.6"))
OPENVINO = PythonEnvironment("openvino", ("openvino==2026.4.1", "numpy==2.4.6"))
TRACT = PythonEnvironment("tract", ("tract==0.23.9", "numpy==2.4.6"))
TVM = PythonEnvironment("tvm", ("apache-tvm==0.27.0.post1", "onnx==1.23.2", "numpy==2.4.6"))
IREE = PythonEnvironment(
    "iree", ("iree-base-compiler[onnx]==3.13.0", "iree-base-runtime==3.13.0", "onnx==1.23.2", "numpy==2.4.6")
)
MNN = PythonEnvironment("mnn", ("mnn==3.6.1", "numpy==2.4.6"))
JAVASCRIPT = NodeEnvironment("javascript")
WEB = NodeEnvironment("web", ROOT / "examples/web")
ALL = (OLDEST_ONNXRUNTIME, OPENCV_5, OPENCV_4, OPENVINO, TRACT, TVM, IREE, MNN, JAVASCRIPT, WEB)


def make_missing(environment: PythonEnvironment | NodeEnvironment) -> bool:
    """Make an environment if it is missing, say so, and return whether it is there."""
    if not environment.ready():
        print(f"making the environment {environment.name}, once", flush=True)
        try:
            environment.make()
        except (EnvironmentMissingError, OSError, subprocess.SubprocessError) as error:
            print(f"{environment.name}: not made: {error}", file=sys.stderr)
            return False
    return True


def main() -> None:
    """Make what is missing, several at a time: most of it is downloading."""
    argparse.ArgumentParser(description="Install the other runtimes, each into an environment of its own.").parse_args()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        sys.exit(not all([*pool.map(make_missing, ALL)]))


if __name__ == "__main__":
    main()
