"""All stages give the same bytes on a processor of another make, which qemu emulates; `make bench` adds others."""

import shutil

import pytest

from benchmarks.same_bytes import EMULATOR, STEPS, run


@pytest.mark.skipif(not shutil.which(EMULATOR), reason=f"{EMULATOR} is missing: apt-get install qemu-user")
def test_an_intel_processor_without_avx512_writes_the_same_bytes_as_this_one() -> None:
    steps = [step for step in STEPS if step != "cnn"]  # whose training takes two minutes there
    assert run([EMULATOR, "-cpu", "Haswell"], steps) == run([], steps)
