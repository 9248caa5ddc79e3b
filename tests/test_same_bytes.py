"""All stages give the same bytes on a processor of another make, which qemu emulates; `make bench` adds others."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.same_bytes import EMULATOR, STEPS, prepare, run, run_stages
from stages import train

MKL = {"sqrt", "asin", "acos", "atan"}  # what its vector functions gave other last digits on another processor


class Watch(TorchDispatchMode):
    """Notes what is left to those functions of MKL, in place or not; a power of 0.5 is a square root."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[str] = set()

    def __torch_dispatch__(
        self,
        operator: OpOverload,
        _: object,
        arguments: Sequence[object] = (),
        options: Mapping[str, object] | None = None,
    ) -> object:
        """Run an operator of PyTorch's, and note it if it is one of these."""
        name = str(operator).split(".")[1].removeprefix("_foreach_").rstrip("_")
        numbers = [number for number in arguments if isinstance(number, float)]
        if name in MKL or (name == "pow" and numbers == [0.5]):
            self.found.add(str(operator))
        return operator(*arguments, **(options or {}))


@pytest.mark.skipif(not shutil.which(EMULATOR), reason=f"{EMULATOR} is missing: apt-get install qemu-user")
def test_an_intel_processor_without_avx512_writes_the_same_bytes_as_this_one() -> None:
    steps = [step for step in STEPS if step != "cnn"]  # whose training takes two minutes there
    assert run([EMULATOR, "-cpu", "Haswell"], steps) == run([], steps)


def test_no_stage_leaves_a_function_to_mkl_whose_last_digits_differ_by_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MNIST_MIRROR", raising=False)
    monkeypatch.setattr(train, "prefetch", iter)  # in this thread, where it is watched
    prepare(tmp_path)
    with Watch() as watch:
        torch.ones(2).pow(0.5).sqrt_()
        assert watch.found == {"aten.pow.Tensor_Scalar", "aten.sqrt_.default"}
        watch.found.clear()
        run_stages(STEPS)
    assert not watch.found
