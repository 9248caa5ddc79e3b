"""What a GPU does again and again, recorded as CUDA graphs.

A step is some hundred small kernels. A graph starts all of them at once, where Python starts one after the other: an
epoch takes a fifth of the time.

Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from stages import distributed
from stages.augment import Augment
from stages.checkpoint import TrainState
from stages.data import Batch

WARM_UP = 3  # calls before the recording, as PyTorch advises
NO_SCHEDULER: Any = SimpleNamespace(step=lambda: None)  # in a recorded step: each replay is followed by the real one


class Recorded:
    """A function of tensors on a GPU, recorded at its fourth call and replayed from then on.

    Calls with tensors of another shape, such as an epoch's last, smaller batch, run as they are, and so do all calls of
    what cannot be recorded because it waits for the GPU. Whatever else the function uses has to stay where it is.
    """

    def __init__(self, function: Callable[..., Tensor], generator: torch.Generator | None = None) -> None:
        self.function, self.generator = function, generator
        self.calls, self.stream = 0, torch.cuda.Stream()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.output = torch.empty(0)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what the function returns."""
        self.calls += 1
        if self.calls == WARM_UP + 1:
            self._record(inputs)
        if self.calls <= WARM_UP:
            return self._warm_up(inputs)
        if self.graph is None or any(new.shape != kept.shape for new, kept in zip(inputs, self.inputs, strict=True)):
            return self.function(*inputs)
        for new, kept in zip(inputs, self.inputs, strict=True):
            kept.copy_(new)
        self.graph.replay()
        return self.output.clone()

    def _warm_up(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Call the function on another stream than the usual one, since a recording cannot use what that has begun."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            output = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return output

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(kept.clone() for kept in inputs)
        graph = torch.cuda.CUDAGraph()
        if self.generator:
            graph.register_generator_state(self.generator)
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                self.output = self.function(*self.inputs)
        except RuntimeError:  # it waits for the GPU, or is wrong, which the call that follows says
            return
        self.graph = graph


def record(
    train_epoch: Callable[..., Tensor], augment: Augment, state: TrainState
) -> tuple[Callable[..., Tensor], Callable[[Tensor, torch.Generator], Tensor]]:
    """Return `train_epoch` and `augment`, recorded for this training if it runs on one GPU in one process.

    Each step and each batch is then a replay. The optimizer's learning rate becomes a tensor, which a replay reads; a
    number would stay what it was.
    """
    device = state.generator.device
    if device.type != "cuda" or distributed.launched():
        return train_epoch, augment
    for group in state.optimizer.param_groups:
        group["lr"] = torch.as_tensor(group["lr"], dtype=torch.float32, device=device)
        group["capturable"] = True
    warp = Recorded(lambda images: augment(images, state.generator), state.generator)

    @cache
    def recorded(model: object, loss_function: object, optimizer: object, sampler: object) -> Recorded:
        parts = (model, loss_function, optimizer, NO_SCHEDULER, sampler)
        return Recorded(lambda *batch: train_epoch(*parts, [Batch(*batch)]))

    def epoch(*parts: Any) -> Tensor:  # noqa: ANN401 (those of `train_epoch`)
        model, loss_function, optimizer, scheduler, sampler, batches = parts
        step, losses = recorded(model, loss_function, optimizer, sampler), []
        for batch in batches:
            losses.append(step(*batch))
            scheduler.step()
        return torch.cat(losses)

    return epoch, lambda images, _: warp(images) if augment.warps else images
