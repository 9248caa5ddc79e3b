"""Box 2, model: the networks that it can hold, a file each. A new one is its file, and its name in the union below.

A model maps scaled images, float32 [B,C,H,W], to raw logits [B,classes], with no softmax at the end: the loss, and
whoever wants probabilities, bring their own. Its first weights come from torch's global generator: seed it before.
"""

from typing import Annotated

from pydantic import Field

import stages.models.products  # noqa: F401 (from here on, matrices are multiplied with oneDNN)
from stages.models.cnn import Cnn
from stages.models.linear import Linear
from stages.models.mlp import Mlp

KIND = "weights"  # what the file of a trained model says that it holds
Model = Annotated[Mlp | Cnn | Linear, Field(discriminator="kind")]
