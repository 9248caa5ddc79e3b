"""The losses that box 3 can hold, a file each. A new one is its file, and its name in the union below."""

from typing import Annotated

from pydantic import Field

from stages.losses.cross_entropy import CrossEntropy

Loss = Annotated[CrossEntropy, Field(discriminator="kind")]
