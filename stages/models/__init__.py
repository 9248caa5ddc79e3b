"""Box 2, model: the networks that it can hold, a file each. A new one is its file, and its name in the union below.

A model maps scaled images, float32 [B,C,H,W], to raw logits [B,classes], with no softmax at the end: the loss, and
whoever wants probabilities, bring their own. Its first weights come from torch's global generator: seed it before.
"""

from pathlib import Path
from typing import Annotated, TypeVar

import torch
from pydantic import Field
from torch import Tensor, nn

from stages.data import scale
from stages.io import StageError, load_tensors
from stages.models.cnn import Cnn
from stages.models.linear import Linear
from stages.models.mlp import Mlp

Network = TypeVar("Network", bound=nn.Module)
KIND = "weights"  # what the file of a trained model says that it holds
Model = Annotated[Mlp | Cnn | Linear, Field(discriminator="kind")]

AT_ONCE = 10_000 * 28 * 28  # values of images: few enough for the intermediate results of a convolution


def load_weights(network: Network, path: Path, kind: str) -> Network:
    """Load the weights of a file, written by `save_tensors` with the same `kind`, into a network; return it.

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
    """Return the logits, float32 [N,classes], of uint8 images [N,C,H,W], without learning from them."""
    was_training = model.training
    model.eval()
    at_once = max(1, AT_ONCE // images.shape[1:].numel())
    with torch.no_grad():
        logits = torch.cat([model(scale(some)) for some in images.split(at_once)])
    model.train(was_training)
    return logits
