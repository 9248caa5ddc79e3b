"""Inference with any trained network, the classifier or the detector: its weights and its predictions."""

from pathlib import Path

import torch
from torch import Tensor, nn

from stages.data import scale
from stages.io import StageError, load_tensors

AT_ONCE = 1_000 * 28 * 28  # values of images; more would fill the memory with intermediate results


def load_weights(network: nn.Module, path: Path, kind: str) -> nn.Module:
    """Load a file of weights, of a kind that `save_tensors` wrote, into a network and return it.

    Raises:
        StageError: the file is missing, damaged, or holds the weights of another network.

    """
    try:
        network.load_state_dict(load_tensors(path, kind))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise StageError(f"{path} holds the weights of another network ({reason}): run `dvc repro`") from error
    return network


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits, float32 [N,classes], of uint8 images [N,C,H,W]; the model stays as it is."""
    was_training = model.training
    model.eval()
    at_once = max(1, AT_ONCE // images.shape[1:].numel())
    with torch.no_grad():
        logits = torch.cat([model(scale(some)) for some in images.split(at_once)])
    model.train(was_training)
    return logits
