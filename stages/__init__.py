"""The pipeline: one module a box, one a stage.

Importing the package does what has to come before `import torch`: it says in one line when this Python
lacks the packages, and it fixes how the arithmetic is done, which torch, MKL and numpy read once, when they are loaded.
It turns onnxruntime's telemetry off, unless the user has set its variable, which is read at the import too.
It also puts the `serving` folder beside it first on the path, so that a copy of the project, such as a queued
experiment, uses its own `mnist_serving` and not the one that is installed.
"""

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

# Some of the direct dependencies: an environment that was made for something else lacks one of them.
_PACKAGES = ("font_manrope", "numpy", "onnxscript", "pydantic", "ruamel", "sklearn", "torch", "torchvision")
_CPU_FLAGS = Path("/proc/cpuinfo")
HAS_AVX2 = _CPU_FLAGS.is_file() and " avx2 " in _CPU_FLAGS.read_text(encoding="utf-8")

# With this, all x86-64 processors with AVX2 compute the same bits, whoever made them and whatever else they can do.
# PyTorch, oneDNN, numpy and OpenBLAS choose their kernels by instruction set, which is fixed here. MKL chooses by the
# processor's maker, unless it is asked for what runs anywhere, which is slow: `stages/models/products.py` keeps what
# takes long away from it. One thread, because for matrices this small a second one gains a tenth, and costs several
# times the whole when something else runs beside.
ARITHMETIC = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
if HAS_AVX2:  # elsewhere, asking for it would crash
    ARITHMETIC |= {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",  # AVX-512
        "MKL_CBWR": "COMPATIBLE",
    }

_missing = [name for name in _PACKAGES if find_spec(name) is None]
if sys.version_info < (3, 11) or _missing:
    _lack = f"lacks {', '.join(_missing)}" if _missing else "is older than 3.11"
    sys.exit(
        f"`python` is {sys.executable} {platform.python_version()}, which {_lack}: run `make repro`, "
        "or activate the environment in which `pip install -r requirements.lock` was run"
    )
os.environ |= ARITHMETIC
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "serving"))
