"""How training images vary. (provisional)"""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from stages.params import Section


class Augment(Section):
    strength: Annotated[float, Field(gt=0)]

    def vary(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images
