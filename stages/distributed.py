"""On which device a training runs, and in how many processes, with PyTorch's `torchrun` and `DistributedDataParallel`.

`train.processes` starts several on this machine. On several machines that share this folder, run on each, with its own
`--node-rank`,

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 1 --master-addr HOST --master-port 29500 -m stages.train
"""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

import torch
from torch import Tensor, distributed, nn
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.nn.parallel import DistributedDataParallel

from stages.io import INTERRUPTED, StageError

PARENT = os.getppid()


def launched() -> bool:
    """Whether this process is one of several that `torchrun` started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """Return this process's number; number 0 prints and writes."""
    return int(os.environ["RANK"]) if launched() else 0


def world_size() -> int:
    """Return how many processes share the work."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def say(line: str, file: TextIO | None = None) -> None:
    """Print a line, once for all processes."""
    if rank() == 0:
        print(line, file=file, flush=True)


def warn(sentences: Iterable[str]) -> None:
    """Print warnings on standard error, once for all processes."""
    for sentence in sentences:
        say(f"warning: {sentence}", sys.stderr)


def get_device(name: str) -> torch.device:
    """Return the device of a name; `auto` is a GPU where there is one.

    Raises:
        StageError: torch finds no such device.

    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(kind for kind in found if found[kind]) if name == "auto" else name
    if not found[kind]:
        raise StageError(f"params.yaml: `train.device` is '{kind}', but torch finds no GPU; write `cpu` or `auto`")
    return torch.device(kind, rank() % torch.cuda.device_count()) if kind == "cuda" else torch.device(kind)


def check_batches(size: int, images: int) -> None:
    """Raise a StageError where a process gets nothing of a batch, or an epoch has no batch."""
    largest = min(size, images)
    if largest < world_size():
        raise StageError(f"{world_size()} processes cannot share a batch of {largest}: params.yaml, `train.batch_size`")
    if largest // world_size() == 1 < size // world_size():  # `batches` leaves it out
        raise StageError(f"too few training images, {images}: add some, or lower `data.validation` in params.yaml")


def check_processes(count: int) -> None:
    """Raise a StageError for more than two of a core, which would fill the memory before they say anything."""
    most = 2 * (os.cpu_count() or 1)
    if count > most:
        raise StageError(f"params.yaml: `train.processes` is {count}; on this machine it must be {most} or less")


def launch(module: str, processes: int) -> None:
    """Run a module in several processes and wait for all of them.

    Raises:
        StageError: there are too many, or one of them failed, and the others are stopped.

    """
    check_processes(processes)
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the error below says it in one line
    command = ["--standalone", "--local-addr", "localhost", "--nproc-per-node", str(processes), "-m", module]
    try:
        torchrun.run(torchrun.parse_args(command))
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        how = failure.signal_name() if failure.exitcode < 0 else f"exit code {failure.exitcode}"
        raise StageError(
            f"process {number} of {processes} ended with {how}, and the others were stopped: see its message above; "
            "if that names nothing to fix, run it again, and training resumes after the last whole epoch"
        ) from error
    except SignalException:  # Ctrl-C, which the first process reports
        sys.exit(INTERRUPTED)


def end_if_orphaned() -> None:
    """End one of several processes if what started them was killed: the next run would train beside it.

    It ends at once, because gloo's threads would be waited for.
    """
    if launched() and os.getppid() != PARENT:
        os._exit(INTERRUPTED)


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Connect the processes that `torchrun` started, if it did.

    Raises:
        StageError: another process has died.

    """
    if not launched():
        yield
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    except RuntimeError as error:
        if "onnection" not in str(error):  # gloo and nccl have no exception type of their own for it
            raise
        end_if_orphaned()
        raise StageError("another process has ended, so this one ends as well") from error
    finally:
        distributed.destroy_process_group()


def replicate(model: nn.Module) -> nn.Module:
    """Return the model, or what averages its gradients over all processes.

    Keep it in a function that returns inside `process_group`: freed later, it waits forever for gloo's thread.
    """
    return DistributedDataParallel(model) if launched() else model


def broadcast(value: float) -> float:
    """Return the first process's value in all processes."""
    if not launched():
        return value
    told = Tensor([value])
    distributed.broadcast(told, src=0)
    return float(told)


def merge(before: Tensor, after: Tensor) -> Tensor:
    """Return `before` with the changes that all processes made to it: the mean where several changed one value."""
    if not launched():
        return after
    changes = after - before
    changed = (changes != 0).float()
    distributed.all_reduce(changes)
    distributed.all_reduce(changed)
    return before + changes / changed.clamp(min=1)
