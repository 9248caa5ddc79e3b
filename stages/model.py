"""Box 2, model: the network, from scaled images to raw logits."""

from pathlib import Path

import torch
from torch import Tensor, nn

from stages.data import IMAGE_SHAPE, scale
from stages.stage import StageError
from stages.tensors import load_tensors

KIND = "weights"


def build_model(*, hidden: int, classes: int) -> nn.Sequential:
    """Return the untrained network, float32 [B,1,28,28] -> logits [B,classes].

    Its first weights come from torch's global generator: seed it before. There is no softmax
    at the end; the loss and whoever wants probabilities bring their own.
    """
    channels, height, width = IMAGE_SHAPE
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def load_model(path: Path, *, hidden: int, classes: int) -> nn.Sequential:
    """Return the network with the trained weights of `path`.

    Raises:
        StageError: the file is missing, damaged, or holds the weights of another network.

    """
    return load_weights(build_model(hidden=hidden, classes=classes), path, KIND)


def load_weights(network: nn.Sequential, path: Path, kind: str) -> nn.Sequential:
    """Put the weights of a file, of a kind that `save_tensors` wrote, into a network; return it.

    Raises:
        StageError: the file is missing, damaged, or holds the weights of another network.

    """
    try:
        network.load_state_dict(load_tensors(path, kind))
    except RuntimeError as error:
        msg = f"{path} holds the weights of another network: {' '.join(str(error).split())}"
        raise StageError(msg) from error
    return network


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Return the logits, float32 [N,classes], of uint8 images [N,1,28,28], without learning from them."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits: Tensor = model(scale(images))
    model.train(was_training)
    return logits
