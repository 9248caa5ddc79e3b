"""Speed, as ratios against named rivals measured in the same run."""

import os
from argparse import ArgumentTypeError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime's; the rivals' processes inherit it


def at_least_1(text: str) -> int:
    """Parse a whole number above 0 of a command line."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)
