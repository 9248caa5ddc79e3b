"""The loops that `training.py` times beside the tutorial's: the pipeline's, by its recipes, and the floor under any.

    python -m benchmarks.loops RECIPE|floor

Run where `dvc repro` has run; prints the seconds of the loop as JSON, the test accuracy that it comes to, and the
checksum of the weights.
"""

import json
import sys
import time
from hashlib import sha256

import stages.train
from stages import distributed
from stages.config import PARAMS_FILE, load_params
from stages.data import load_dataset_info, load_split, load_training
from stages.io import TEST_FILE
from stages.models.inference import predict
from stages.recipe import fill


def load_recipe(name: str) -> stages.train.Params:
    """Return boxes 1 to 4 as a recipe fills them."""
    return load_params(stages.train.Params, text=fill(PARAMS_FILE.read_text(encoding="utf-8"), name))


def time_recipe(name: str) -> dict[str, float | str]:
    """Train as the stage `train` does; return the seconds, the test accuracy, and the checksum of the weights.

    Building the model, the sanity checks, and the validation and checkpoint after each epoch are included.
    """
    params, info = load_recipe(name), load_dataset_info()
    training, validation = load_training(info, params.data)
    training = training.join(params.data.drawn_digits.draw(info))
    device = distributed.get_device(params.train.device)
    training, validation = training.to(device), validation.to(device)
    print("start", flush=True)
    start = time.perf_counter()
    state = stages.train.build_state(params, training, info=info, device=device)
    stages.train.train(state, params.objective.loss.build().to(device), training, validation, params)
    seconds = time.perf_counter() - start
    stages.train.CHECKPOINT_FILE.unlink()
    test = load_split(TEST_FILE, info).to(device)
    correct = predict(state.model, test.images).argmax(dim=1) == test.labels
    weights = b"".join(weight.cpu().numpy().tobytes() for weight in state.model.state_dict().values())
    return {"loop": seconds, "accuracy": correct.float().mean().item(), "sha256": sha256(weights).hexdigest()}


def time_floor() -> float:
    """Multiply three matrices a step, nothing else: both layers forward, the first layer's gradient; return seconds."""
    import torch  # here, because `stages` has to be imported before it

    params = load_recipe("tutorial")
    batch, hidden = params.train.batch_size, 128
    images, weights, last = torch.rand(batch, 784), torch.rand(hidden, 784), torch.rand(10, hidden)
    steps = params.train.epochs * -(-55_000 // batch)
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
        print(json.dumps(time_recipe(sys.argv[1])))
