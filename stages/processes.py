"""Where a training runs: on which device, and in how many processes, by PyTorch's own means.

Those are `torchrun` and `DistributedDataParallel`. `train.processes` starts them on this machine. On several machines
that share this folder, each runs, with its own `--node-rank`,

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 1 --master-addr HOST --master-port 29500 -m stages.train
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from stages.stage import StageError


def launched() -> bool:
    """Whether this process is one of several that `torchrun` started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """Return this process's number; 0 writes the files."""
    return int(os.environ["RANK"]) if launched() else 0


def find_device(name: str) -> torch.device:
    """Return the device of a name; `auto` is a GPU where there is one.

    Raises:
        StageError: there is no GPU.

    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        msg = "params.yaml: `train.device` is 'cuda', but torch finds no GPU: say `cpu` or `auto`"
        raise StageError(msg)
    return torch.device("cuda", rank() % torch.cuda.device_count())


def launch(module: str, processes: int) -> None:
    """Run a module in several processes, and wait for all of them.

    Raises:
        StageError: one of them has died; the others are ended.

    """
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # the error below says it in one line
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="train",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    try:
        elastic_launch(config, "python")("-m", module)
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        how = failure.signal_name() if failure.exitcode < 0 else f"exit code {failure.exitcode}"
        msg = (
            f"process {number} of {processes} ended with {how}, and the others with it: "
            "run it again, it goes on from the last whole epoch"
        )
        raise StageError(msg) from error


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[int, int]]:
    """While it lasts this process can talk to the others, if there are any; yield its number and their count.

    Raises:
        StageError: another process has died.

    """
    if not launched():
        yield 0, 1
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield distributed.get_rank(), distributed.get_world_size()
    except RuntimeError as error:
        if "onnection" not in str(error):  # gloo and nccl have no type of their own for it
            raise
        msg = "another process has gone, so this one ends as well"
        raise StageError(msg) from error
    distributed.destroy_process_group()


def shared(model: nn.Module) -> nn.Module:
    """Return the model so that its gradients are means over all processes."""
    return DistributedDataParallel(model) if launched() else model


def agreed(value: float) -> float:
    """Return the first process's value, in all of them."""
    if not launched():
        return value
    told = Tensor([value])
    distributed.broadcast(told, src=0)
    return float(told)


def merged(before: Tensor, after: Tensor) -> Tensor:
    """Return the values that all processes together have made of `before`, each having changed some of them."""
    if not launched():
        return after
    changes = after - before
    distributed.all_reduce(changes)
    return before + changes
