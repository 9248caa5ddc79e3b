"""The tests. Whatever they start carries a mark of this run in its environment, which `leftovers` looks for."""

import os
import secrets

MARK = ("MNIST_SERVING_TEST_RUN", secrets.token_hex(8))
os.environ.update([MARK])
