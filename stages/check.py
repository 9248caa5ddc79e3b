"""`python -m stages.check`: is all of `params.yaml` sound, with every recipe? It does nothing else."""

from stages import download, evaluate, export, gate, train
from stages.params import PARAMS_FILE, Section, load_params, read_params
from stages.stage import run


class Params(Section):
    """All that the stages use."""

    download: download.Download
    data: train.Data
    model: train.Model
    objective: train.Objective
    train: train.Train
    gate: gate.Gate
    evaluate: evaluate.Evaluate
    export: export.Export


def main() -> None:
    """Print one line, or a line for each mistake."""
    content = read_params()
    chosen = load_params(Params)
    download.check_name(chosen.data.dataset)
    for recipe in content["recipes"]:
        load_params(Params, recipe=recipe)
    print(f"{PARAMS_FILE} is sound: the recipe is {content['recipe']}, the data set {chosen.data.dataset}")


if __name__ == "__main__":
    run(main)
