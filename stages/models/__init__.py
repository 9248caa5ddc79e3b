"""Box 2, model: the network, from scaled images to raw logits.

There is no softmax at the end; the loss and whoever wants probabilities bring their own. The first
weights come from torch's global generator: seed it before.
"""

from typing import Annotated

from pydantic import Field

from stages.models.cnn import Cnn
from stages.models.linear import Linear
from stages.models.mlp import Mlp

KIND = "weights"

# A new model is a file in `models/` and its name here.
Model = Annotated[Mlp | Cnn | Linear, Field(discriminator="kind")]
