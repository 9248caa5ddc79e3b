"""Box 2, model: the networks that it can hold, a file each. A new one is its file, and its name in the union below.

A model maps scaled images, float32 [B,C,H,W], to raw logits [B,classes], with no softmax at the end, since the
loss has one. Its first weights come from torch's global generator: seed it before.
"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

import stages.models.products  # noqa: F401 (from here on, matrices are multiplied with oneDNN)
from stages.data import DatasetInfo
from stages.io import WEIGHTS_FILE
from stages.models.cnn import Cnn
from stages.models.inference import load_weights, predict
from stages.models.linear import Linear
from stages.models.mlp import Mlp
from stages.models.standardization import standardization

KIND = "weights"  # what the file of a trained model says that it holds
Model = Annotated[Mlp | Cnn | Linear, Field(discriminator="kind")]


def build_model(box: Model, info: DatasetInfo, images: Tensor | None = None) -> nn.Module:
    """Return box 2 for a data set: the network, and before it, if the data set is not like MNIST, a standardization.

    Args:
        box: the network.
        info: the data set.
        images: training images, uint8 [N,C,H,W], whose pixels become standardized; loaded weights bring their own.

    """
    network = box.build(info.shape, len(info.labels))
    predict(network, torch.zeros(1, *info.shape, dtype=torch.uint8))  # so that lazy or pruned layers can be copied
    if info.centred:
        return network
    layers = network if type(network) is nn.Sequential else [network]
    return nn.Sequential(standardization(info.shape[0], images), *layers)


def load_model(box: Model, info: DatasetInfo) -> nn.Module:
    """Return box 2 as `train` left it.

    Raises:
        StageError: the file is missing, damaged, or holds the weights of another network.

    """
    return load_weights(build_model(box, info), WEIGHTS_FILE, KIND)
