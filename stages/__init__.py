"""The pipeline: one module a box, one a stage.

Importing the package does the two things that have to come before `import torch`:
it says in one line when this Python lacks the packages, and it fixes the instruction
set of the arithmetic, which torch and MKL read once, when they are loaded.
"""

import os
import platform
import sys
from importlib.util import find_spec

_PACKAGES = ("numpy", "onnx", "PIL", "pydantic", "ruamel.yaml", "safetensors", "torch", "torchvision", "tqdm")


def _missing_packages() -> list[str]:
    """Names in `_PACKAGES` that this interpreter cannot import."""
    top_levels = dict.fromkeys(name.partition(".")[0] for name in _PACKAGES)
    return [name for name in top_levels if find_spec(name) is None]


def _fix_instruction_set() -> None:
    """Make x86-64 processors compute the same bits, whatever else they could do.

    Other processors have no such switch; there the bits hold for one machine and one
    number of threads.
    """
    if platform.machine().lower() in {"x86_64", "amd64"}:
        os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
        os.environ["MKL_CBWR"] = "AVX2,STRICT"


if sys.version_info < (3, 11) or _missing_packages():
    sys.exit(
        f"`python` here is {sys.executable} ({platform.python_version()}), which is older than 3.11 or lacks "
        f"{', '.join(_missing_packages()) or 'nothing'}: run `make repro`, or activate the environment "
        "in which `pip install -r requirements.lock` was run"
    )
_fix_instruction_set()
