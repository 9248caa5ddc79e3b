"""Handwritten digits that come with scikit-learn, 1,797 of 8x8 pixels; they need no network.

Source: E. Alpaydin and C. Kaynak, Optical recognition of handwritten digits, UCI, 1998.
"""

from hashlib import sha256

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from stages.config import Part, Section, Seed
from stages.data import Dataset, DatasetInfo, Split, fit_into_frame, train_test_split

DARKEST = 16  # grey levels are 0 to 16
ENLARGED = 8  # times, before they are fitted into MNIST's frame


class UciDigits(Section):
    """`test` is the share of the images, drawn by `seed`, that becomes the test set."""

    test: Part
    seed: Seed

    def load(self) -> Dataset:
        """Return them as MNIST draws its digits, uint8 [N,1,28,28]."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(np.stack([enlarge(levels) for levels in digits.images])).unsqueeze(1)
        everything = Split(images, torch.from_numpy(digits.target.astype(np.int64)))
        digest = sha256(digits.images.astype(np.uint8).tobytes() + digits.target.astype(np.uint8).tobytes())
        info = DatasetInfo(
            name="UCI digits",
            labels=tuple("0123456789"),
            shape=(1, 28, 28),
            centred=True,
            sha256={"sklearn.datasets.load_digits": digest.hexdigest()},
        )
        return Dataset(info, *train_test_split(everything, share=self.test, seed=self.seed))


def enlarge(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Return a digit of 8x8, levels 0 to 16, fitted into MNIST's frame, uint8 [28,28]."""
    height, width = levels.shape
    small = Image.fromarray((levels * 255 / DARKEST).round().astype(np.uint8))
    return fit_into_frame(small.resize((ENLARGED * width, ENLARGED * height), Image.Resampling.BICUBIC))
