"""Handwritten digits that come with scikit-learn, 1,797 of 8x8 pixels; they need no network.

Source: E. Alpaydin and C. Kaynak, Optical recognition of handwritten digits, UCI, 1998.
"""

from hashlib import sha256

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

from stages.config import Part, Section, Seed
from stages.data import Dataset, DatasetInfo, Split, train_test_split

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
    """Return a digit of 8x8, levels 0 to 16, as MNIST frames its digits, uint8 [28,28].

    The ink, light on black, fits into 20x20 in its own proportions; its centre of mass is in the middle of 28x28.
    """
    height, width = levels.shape
    small = Image.fromarray((levels * 255 / DARKEST).round().astype(np.uint8))
    large = small.resize((ENLARGED * width, ENLARGED * height), Image.Resampling.BICUBIC)
    ink = ImageOps.contain(large.crop(large.getbbox()), (20, 20), Image.Resampling.BILINEAR)
    row, column = np.average(np.indices((ink.height, ink.width)) + 0.5, axis=(1, 2), weights=np.asarray(ink))
    left = min(max(round(14 - column), 0), 28 - ink.width)
    top = min(max(round(14 - row), 0), 28 - ink.height)
    frame = Image.new("L", (28, 28))
    frame.paste(ink, (left, top))
    return np.asarray(frame)
