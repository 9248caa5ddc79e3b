"""`python -m stages.check`: is all of `params.yaml` sound, with every recipe? It does nothing else."""

from stages.data import Data
from stages.download import Download, check_name
from stages.evaluate import Evaluate
from stages.export import Export
from stages.gate import Gate
from stages.model import Model
from stages.objective import Objective
from stages.params import PARAMS_FILE, Section, load_params, read_params
from stages.stage import run
from stages.train import Train


class Params(Section):
    """All that the stages use."""

    download: Download
    data: Data
    model: Model
    objective: Objective
    train: Train
    gate: Gate
    evaluate: Evaluate
    export: Export


def main() -> None:
    """Print one line, or a line for each mistake."""
    content = read_params()
    chosen = load_params(Params)
    check_name(chosen.data.dataset)
    for recipe in content["recipes"]:
        load_params(Params, recipe=recipe)
    print(f"{PARAMS_FILE} is sound: the recipe is {content['recipe']}, the data set {chosen.data.dataset}")


if __name__ == "__main__":
    run(main)
