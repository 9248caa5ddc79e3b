"""The command `mnist-serving`. Exit codes: 0 done, 1 the answer is no, 2 wrong usage."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .classifier import PACKAGED_MODEL, Classifier
from .errors import FileError, MnistServingError

MOST_NAMED = 20  # differing images in a message; the number of all is there too
LARGEST_PICTURE = 64 * 1024**2  # bytes


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command stores the function that runs it as `run`."""
    parser = argparse.ArgumentParser(
        prog="mnist-serving", description="Recognise handwritten digits with one small ONNX model."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument(
        "--model", type=Path, default=PACKAGED_MODEL, help="an ONNX file; default: the one in the package"
    )

    predict = commands.add_parser(
        "predict",
        parents=[model],
        help="say which digit is in each picture",
        description="Say which digit is in each picture, one line a file. Any picture of one digit does: it is made "
        "grey, cut out and centred first. Exit code 1 when a file could not be read; the others are still answered.",
    )
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a PNG or JPEG")
    predict.add_argument("--json", action="store_true", help="a line of JSON a file")
    predict.set_defaults(run=run_predict)

    info = commands.add_parser(
        "info",
        parents=[model],
        help="show the model's contract",
        description="Show the model's contract, as its metadata say it, after proving that it answers its examples.",
    )
    info.add_argument("--json", action="store_true", help="as JSON, the golden examples included")
    info.set_defaults(run=run_info)

    parity = commands.add_parser(
        "parity",
        parents=[model],
        help="prove that the model gives the logits that PyTorch gave",
        description="Compare the logits of the ONNX model, in several batch sizes, with and without graph "
        "optimisation, with those that PyTorch wrote. Exit code 1 when they differ.",
    )
    parity.add_argument("--images", type=Path, default="data/test.safetensors", help="default: %(default)s")
    parity.add_argument("--logits", type=Path, default="reports/test_logits.safetensors", help="default: %(default)s")
    parity.add_argument("--tolerance", type=positive, default=1e-4, help="largest |difference|; default: %(default)s")
    parity.add_argument("--report", type=Path, help="write the figures into this JSON file")
    parity.set_defaults(run=run_parity)
    return parser


def positive(text: str) -> float:
    """Parse a number above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        msg = f"{text} is not a number above 0"
        raise argparse.ArgumentTypeError(msg)
    return value


def run_predict(arguments: argparse.Namespace) -> int:
    """Answer file by file; say on standard error which could not be read, and why."""
    classifier = Classifier(arguments.model)
    exit_code = 0
    for path in arguments.files:
        try:
            answer = predict_file(classifier, path)
        except (FileError, ValueError) as error:
            print(f"mnist-serving: error: {path}: {error}", file=sys.stderr)
            exit_code = 1
            continue
        if arguments.json:
            print(json.dumps({"file": str(path), **answer}))
        else:
            sure = f"{answer['label']}  {answer['probability']:.1%}"
            print(f"{path}: {f'not sure, perhaps {sure}' if answer['abstained'] else sure}")
    return exit_code


def predict_file(classifier: Classifier, path: Path) -> dict[str, str | float | bool]:
    """Return the answer to one picture file: `label`, `probability`, `abstained`.

    Raises:
        FileError: it cannot be read.
        ValueError: it is no picture, or has no digit in it.

    """
    from .canonicalize import canonicalize
    from .images import read_grey

    try:
        if path.stat().st_size > LARGEST_PICTURE:
            msg = f"larger than {LARGEST_PICTURE:,} bytes"
            raise FileError(msg)
        content = path.read_bytes()
    except OSError as error:
        raise FileError(error.strerror) from error
    prediction = classifier.predict(canonicalize(read_grey(content)))
    return {
        "label": prediction.labels[0],
        "probability": float(prediction.probabilities.max()),
        "abstained": bool(prediction.abstained[0]),
    }


def run_info(arguments: argparse.Namespace) -> int:
    """Print the metadata, a line an entry; the golden examples only as JSON."""
    classifier = Classifier(arguments.model)
    entries: dict[str, object] = {"file": str(arguments.model), "sha256": classifier.checksum, **classifier.metadata}
    if arguments.json:
        decoded = {key: _decoded(value) for key, value in entries.items()}
        print(json.dumps(decoded, indent=2))
        return 0
    entries["golden"] = f"{len(classifier.contract.golden.images)} examples, answered right"
    for key, value in entries.items():
        print(f"{key:<16} {value}")
    return 0


def _decoded(value: object) -> object:
    """Return what the text stands for where it is JSON, the text itself where not."""
    try:
        return json.loads(str(value))
    except ValueError:
        return value


def run_parity(arguments: argparse.Namespace) -> int:
    """Compare, say the outcome in one line, name the images that differ."""
    from .parity import check  # needs safetensors, which the other commands do not

    parity = check(
        arguments.model,
        images=arguments.images,
        logits=arguments.logits,
        tolerance=arguments.tolerance,
        report=arguments.report,
    )
    print(
        f"parity {'passed' if parity.passed else 'FAILED'}: {parity.images:,} images, "
        f"{parity.argmax_mismatches} argmax mismatches, largest |logit difference| {parity.max_abs_logit_diff}"
    )
    if parity.passed:
        return 0
    rows = ", ".join(map(str, parity.differing[:MOST_NAMED]))
    more = ", ..." if len(parity.differing) > MOST_NAMED else ""
    print(f"mnist-serving: {len(parity.differing):,} images differ: rows {rows}{more}", file=sys.stderr)
    return 1


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; every error that a person can mend is one line on standard error."""
    arguments = build_parser().parse_args(argv)
    try:
        sys.exit(arguments.run(arguments))
    except (MnistServingError, OSError) as error:
        print(f"mnist-serving: error: {error}", file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        extra = {"PIL": "images", "safetensors": "parity"}.get(error.name or "")
        if extra is None:
            raise
        print(f"mnist-serving: error: this needs {error.name}: pip install 'mnist-serving[{extra}]'", file=sys.stderr)
        sys.exit(1)
