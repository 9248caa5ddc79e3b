"""Products of matrices through oneDNN, which gives the same bits on every x86-64 with AVX2.

MKL, with which PyTorch multiplies there, chooses its kernels by the processor's maker; told not to, it takes 2.6 times
as long. oneDNN is part of the same PyTorch, as fast as MKL, and chooses by instruction set, which `stages/__init__.py`
fixes. `nn.Linear` and its gradients stay as they are: they call `torch.mm` and `torch.addmm`, whose kernels for the CPU
are replaced. What is not float32, and what is not on the CPU, is computed as before.
"""

import sys
import warnings

import torch
from torch import DispatchKeySet, Tensor
from torch.library import Library

from stages import HAS_AVX2

OPERATOR = "_linear_pointwise"  # x [n,k], w [m,k], b [m] -> x times the transposed w, plus b, [n,m]
_library = Library("aten", "IMPL")  # holds what is registered


def multiply_with_onednn(operator: str = OPERATOR) -> None:
    """Replace the kernels of `torch.mm` and `torch.addmm`, once; exit with a sentence if PyTorch lacks `operator`."""
    try:
        linear = getattr(torch.ops.mkldnn, operator).default  # called so, it lets other threads run meanwhile
        mm, addmm = (torch.library.get_kernel(name, "CPU") for name in ("aten::mm", "aten::addmm"))
    except (AttributeError, RuntimeError) as error:
        sys.exit(
            f"this PyTorch, {torch.__version__}, lacks what the same bytes on every processor depend on ({error}): "
            "install the pinned one, `pip install -r requirements.lock`"
        )

    def multiply(keys: DispatchKeySet, left: Tensor, right: Tensor) -> object:
        if _suits(left, right):
            return linear(left, _dense(right).t(), None, "none", [], "")
        return mm.call_boxed(keys, left, right)

    def multiply_and_add(
        keys: DispatchKeySet, bias: Tensor, left: Tensor, right: Tensor, **scales: float
    ) -> object:  # a tensor; PyTorch does not say
        if _suits(left, right) and bias.dtype is torch.float32 and bias.shape == right.shape[1:] and not scales:
            return linear(left, _dense(right).t(), bias.contiguous(), "none", [], "")
        return addmm.call_boxed(keys, bias, left, right, **scales)

    with warnings.catch_warnings(action="ignore"):  # that kernels are replaced is what this is for
        _library.impl("mm", multiply, "CPU", with_keyset=True)
        _library.impl("addmm", multiply_and_add, "CPU", with_keyset=True)


def _suits(left: Tensor, right: Tensor) -> bool:
    """Return whether both are float32, not empty, and can be multiplied; torch's own kernel says what is wrong."""
    return (
        left.dtype is right.dtype is torch.float32
        and left.ndim == right.ndim == 2  # noqa: PLR2004 (matrices)
        and left.shape[1] == right.shape[0] > 0
    )


def _dense(matrix: Tensor) -> Tensor:
    """Return it without gaps between its rows or columns, with which oneDNN takes a thousand times as long."""
    return matrix if matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()


if HAS_AVX2:
    multiply_with_onednn()
