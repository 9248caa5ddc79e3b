"""The loops that `training.py` times beside the tutorial's: the pipeline's, by its recipes, and the floor under any.

    python -m benchmarks.loops RECIPE|floor

Run where `dvc repro` has run; prints the seconds of the loop as JSON, and the test accuracy that it comes to.
"""

import json
import sys
import time

from stages.config import load_params
from stages.data import load_dataset_info, load_split, train_val_split
from stages.inference import predict
from stages.io import DATASET_FILE, TEST_FILE, TRAIN_FILE
from stages.train import Params, build_learner, train


def time_recipe(recipe: str) -> tuple[float, float]:
    """Train with the loop of the stage `train`; return its seconds and the test accuracy.

    Building the network and the validation after each epoch are in them; the stage's sanity checks, its checkpoints and
    the drawing of outliers, which no recipe has, are not.
    """
    params, info = load_params(Params, recipe=recipe), load_dataset_info(DATASET_FILE)
    everything = load_split(TRAIN_FILE, info)
    splits = train_val_split(everything, validation=params.data.validation, seed=params.data.split_seed)
    start = time.perf_counter()
    learner = build_learner(params, info.shape, classes=len(info.labels), images=len(splits[0].labels))
    for _ in train(learner, params.objective.build_loss(len(info.labels)), splits, params):
        pass
    seconds = time.perf_counter() - start
    test = load_split(TEST_FILE, info)
    right = predict(learner.result, test.images).argmax(dim=1) == test.labels
    return seconds, right.double().mean().item()


def time_floor() -> float:
    """Multiply three matrices a step, nothing else: both layers forward, the first layer's gradient; return seconds."""
    import torch  # here, because `stages` has to come before it

    params = load_params(Params, recipe="tutorial")
    batch, hidden = params.train.batch_size, 128
    images, weights, last = torch.rand(batch, 784), torch.rand(hidden, 784), torch.rand(10, hidden)
    steps = params.train.epochs * -(-(60_000 - params.data.validation) // batch)
    start = time.perf_counter()
    for _ in range(steps):
        activations = images @ weights.T
        _ = activations @ last.T
        _ = activations.T @ images
    return time.perf_counter() - start


if __name__ == "__main__":
    if sys.argv[1] == "floor":
        print(json.dumps({"loop": time_floor()}))
    else:
        loop, accuracy = time_recipe(sys.argv[1])
        print(json.dumps({"loop": loop, "accuracy": accuracy}))
