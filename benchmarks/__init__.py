"""Speed, as ratios against named rivals measured in the same run."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime's; the rivals' processes inherit it
