"""Training gives the same bytes on a processor of another make, which qemu emulates; `make bench` runs all stages."""

import shutil

import pytest

from benchmarks.same_bytes import EMULATOR, run


@pytest.mark.skipif(not shutil.which(EMULATOR), reason=f"{EMULATOR} is missing: apt-get install qemu-user")
def test_an_intel_processor_without_avx512_learns_the_same_bytes_as_this_one() -> None:
    steps = ("download", "accurate")
    assert run([EMULATOR, "-cpu", "Haswell"], steps) == run([], steps)
