"""The command `mnist-serving`. Exit codes: 0 done, 1 the answer is no, 2 wrong usage."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .errors import MnistServingError
from .serve import add_serve_command

MOST_NAMED = 20  # differing images in the message; the number of all is there too
PACKAGED_MODEL = Path(__file__).with_name("model.onnx")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command stores the function that runs it as `run`."""
    parser = argparse.ArgumentParser(
        prog="mnist-serving", description="Recognise MNIST digits with one small ONNX model."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    parity = commands.add_parser(
        "parity",
        help="prove that the ONNX model gives the logits that PyTorch gave",
        description="Compare the logits of the ONNX model, in several batch sizes, with and without graph "
        "optimisation, with those that PyTorch wrote. Exit code 1 when they differ.",
    )
    parity.add_argument("--model", type=Path, default=PACKAGED_MODEL, help="default: the one in the package")
    parity.add_argument("--images", type=Path, default="data/test.safetensors", help="default: %(default)s")
    parity.add_argument("--logits", type=Path, default="reports/test_logits.safetensors", help="default: %(default)s")
    parity.add_argument("--tolerance", type=positive, default=1e-4, help="largest |difference|; default: %(default)s")
    parity.add_argument("--report", type=Path, help="write the figures into this JSON file")
    parity.set_defaults(run=run_parity)
    add_serve_command(commands)
    return parser


def positive(text: str) -> float:
    """Parse a number above zero."""
    value = float(text)
    if not 0 < value < float("inf"):
        msg = f"{text} is not a number above 0"
        raise argparse.ArgumentTypeError(msg)
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
