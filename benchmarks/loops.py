"""The two loops that `training.py` times beside the tutorial's: the pipeline's own, and the floor under any.

    python -m benchmarks.loops ours|floor

Run where `dvc repro` has run; prints the seconds of the loop as JSON.
"""

import json
import sys
import time

import torch

from stages.data import hold_out, load_split
from stages.model import build_model
from stages.objective import build_loss, build_optimizer
from stages.params import load_params
from stages.stage import TRAIN_FILE
from stages.train import train


def time_ours() -> float:
    """Train as the stage `train` does; return seconds, validation after each epoch included."""
    params = load_params()
    everything = load_split(TRAIN_FILE, classes=len(params.data.labels))
    splits = hold_out(everything, validation=params.data.validation, seed=params.data.split_seed)
    torch.manual_seed(params.train.seed)
    model = build_model(hidden=params.model.hidden, classes=len(params.data.labels))
    optimizer = build_optimizer(model, learning_rate=params.objective.learning_rate)
    start = time.perf_counter()
    for _ in train(model, build_loss(), optimizer, splits, params.train):
        pass
    return time.perf_counter() - start


def time_floor() -> float:
    """Multiply three matrices a step, nothing else: both layers forward, the first layer's gradient; return seconds."""
    params = load_params()
    batch, hidden = params.train.batch_size, params.model.hidden
    images, weights, last = torch.rand(batch, 784), torch.rand(hidden, 784), torch.rand(10, hidden)
    steps = params.train.epochs * -(-(60_000 - params.data.validation) // batch)
    start = time.perf_counter()
    for _ in range(steps):
        activations = images @ weights.T
        _ = activations @ last.T
        _ = activations.T @ images
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps({"loop": {"ours": time_ours, "floor": time_floor}[sys.argv[1]]()}))
