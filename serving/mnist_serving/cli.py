"""The command `mnist-serving`. Exit codes: 0 done, 1 the answer is no, 2 wrong usage."""

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache, partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from .classifier import PACKAGED_MODEL, Classifier, Number, Prediction, number_of
from .errors import FileError, exit_with
from .http.serve import add_serve_command
from .http.settings import Parser
from .many import Bar, in_order
from .parity import add_parity_arguments

LARGEST_PICTURE = 64 * 1024**2  # bytes
LONGEST_NAME = 240  # bytes of a file's name that its sheet's begins with: file systems take 255
STDIN = "-"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif"}  # in a folder

Answer = dict[str, Any]  # one line of JSON


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; each command stores the function that runs it as `run`."""
    parser = Parser(prog="mnist-serving", description="Recognise handwritten digits with one small ONNX model.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    model = Parser(add_help=False)
    model.add_argument(
        "--model", type=Path, default=PACKAGED_MODEL, help="an ONNX file; default: the one in the package"
    )

    predict = commands.add_parser(
        "predict",
        parents=[model],
        help="say what each picture shows",
        description="Say what each picture shows, one line a file. For a model of digits any picture of one will do: "
        "the digit is cut out, scaled and centred first. For any other model the picture is resized. Exit code 1 if a "
        "file cannot be read; the others are still answered. Many files are read on several cores.",
    )
    predict.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a PNG, JPEG, WebP, GIF, BMP, TIFF or, with pillow-heif, HEIC; a folder stands for all such files in it "
        "and below, - for standard input",
    )
    way = predict.add_mutually_exclusive_group()
    way.add_argument(
        "--number",
        action="store_true",
        help="with a model of digits, read several in a row, such as 1984; with --json each digit has its box, "
        "[left, top, right, bottom] in pixels. One digit that is not sure makes the number not sure",
    )
    predict.add_argument("--json", action="store_true", help="print one line of JSON per file")
    way.add_argument(
        "--explain",
        type=Path,
        metavar="DIR",
        help="also write how each picture was read, stage by stage: one PNG for each file, named after it; if "
        "several share a name, the second gets -2, as in 1.png-2.png",
    )
    predict.set_defaults(run=run_predict)

    info = commands.add_parser(
        "info",
        parents=[model],
        help="show the model's contract",
        description="Show the model's metadata, after checking its answers to the examples in it.",
    )
    info.add_argument("--json", action="store_true", help="print JSON, including the golden examples")
    info.set_defaults(run=run_info)

    parity = commands.add_parser("parity", help="check that the model gives PyTorch's logits")
    add_parity_arguments(parity)
    add_serve_command(commands)
    return parser


def run_predict(arguments: argparse.Namespace) -> int:
    """Answer file by file, in their order; report those that cannot be read on standard error."""
    classifier = Classifier(arguments.model)
    if arguments.explain and not classifier.contract.centred:
        raise FileError("--explain shows how a centred digit is read: leave it out with a model of other pictures")
    ask = partial(answer_file, classifier, number=arguments.number)
    files = list(_list_files(arguments.files))
    answers = map(ask, files) if STDIN in files else in_order(ask, files)  # which no other process has
    bar, exit_code = Bar(len(files)), 0
    sheets: set[str] = set()
    try:
        for done, (path, answer) in enumerate(zip(files, answers, strict=True), start=1):
            if "error" in answer:
                bar.clear()
                print(f"mnist-serving: error: {printable(path)}: {answer['error']}", file=sys.stderr)
                exit_code = 1
            if arguments.json:
                print(json.dumps({"file": path, **answer}))
            elif "error" not in answer:
                print(f"{printable(path)}: {in_words(answer)}")
            if arguments.explain:
                explain_file(path, in_words(answer), arguments.explain, sheets)
            bar.update(done)
    finally:
        bar.clear()
    return exit_code


def answer_file(classifier: Classifier, path: str, *, number: bool) -> Answer:
    """Return the answer to a file, or its `error`."""
    try:
        return (predict_number if number else predict_file)(classifier, path)
    except (FileError, ValueError) as error:
        return {"error": str(error)}


def _list_files(paths: Sequence[str]) -> Iterator[str]:
    """Yield the files, with those in a folder in the order of their names; what cannot be read is a file too."""
    for path in paths:
        if path == STDIN or not os.path.isdir(path):  # noqa: PTH112 (`Path.is_dir` raises where it may not look)
            yield path
        else:
            found = _pictures_below(path)
            yield from map(str, found) if found else [path]  # which cannot be read


def _pictures_below(folder: str) -> list[Path]:
    """Return the pictures in a folder and below, and the folders there that cannot be listed, by name."""
    found: list[Path] = []

    def refuse(error: OSError) -> None:
        found.append(Path(error.filename))

    for place, _, names in os.walk(folder, onerror=refuse):
        pictures = (Path(place, name) for name in names if Path(name).suffix.lower() in SUFFIXES)
        # not a pipe, which would be waited for; `Path.is_file` raises where it may not look
        found += [path for path in pictures if os.path.isfile(path) or not os.path.exists(path)]  # noqa: PTH110, PTH113
    return sorted(found)


def printable(name: str) -> str:
    """Return a file's name in one line of characters that every terminal takes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def in_words(answer: Answer) -> str:
    """Return an answer as people read it."""
    if "error" in answer:
        return str(answer["error"])
    sure = f"{answer.get('number', answer.get('label'))}  {answer['probability']:.1%}"
    return f"not sure ({answer['reason']}), perhaps {sure}" if answer["abstained"] else sure


def explain_file(path: str | Path, said: str, folder: Path, taken: set[str]) -> None:
    """Write the sheet of a picture's stages into a folder, named after the file; nothing if it is not a picture.

    `taken` holds the names of the sheets so far, to which this one's is added: no sheet replaces one of them.
    """
    from .images import read_grey
    from .preprocess.explain import sheet

    try:
        picture = sheet(read_grey(read_file(path)), said)
    except (FileError, ValueError):
        return
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / _free_name(Path(path).name, taken))


def _free_name(file: str, taken: set[str]) -> str:
    """Return a sheet's name, with a number if need be, and take it; some file systems do not tell a.png from A.png."""
    file = os.fsencode(file)[:LONGEST_NAME].decode(errors="ignore")
    names = chain([f"{file}.png"], (f"{file}-{number}.png" for number in count(2)))
    name = next(name for name in names if name.lower() not in taken)
    taken.add(name.lower())
    return name


def predict_file(classifier: Classifier, path: str | Path) -> Answer:
    """Return the answer to one picture file: `label`, `probability`, `digit`, `abstained`, and the `reason` if it does.

    Raises:
        FileError: it cannot be read.
        ValueError: it is not a picture, or shows no digit.

    """
    from .images import read_picture

    return _about_digit(classifier.predict(read_picture(read_file(path), classifier.contract)), 0)


def predict_number(classifier: Classifier, path: str | Path) -> Answer:
    """Return the answer to a picture of a number: `number`, `probability`, `digits`, `abstained`, perhaps `reason`.

    Each of the digits is as `predict_file` returns one, with its `box`.

    Raises:
        FileError: it cannot be read.
        ValueError: it is not a picture, or does not show one number.

    """
    from .images import read_number

    images, candidates = read_number(read_file(path), classifier.contract)
    number: Number = number_of(classifier.predict(images), images, candidates)
    boxes = [{"box": [*place]} for place in number.places]
    digits = [_about_digit(number.digits, row) | box for row, box in enumerate(boxes)]
    answer = {"number": number.text, "probability": number.probability, "digits": digits, "abstained": number.abstained}
    return answer | ({"reason": number.reason} if number.abstained else {})


def _about_digit(prediction: Prediction, row: int) -> Answer:
    answer: Answer = {
        "label": prediction.labels[row],
        "probability": float(prediction.probability(row)),
        "digit": float(prediction.digit[row]),
        "abstained": bool(prediction.abstained[row]),
    }
    return answer | ({"reason": prediction.reason(row)} if answer["abstained"] else {})


def read_file(path: str | Path) -> bytes:
    """Return a file's content; of `-`, that of standard input.

    Raises:
        FileError: it cannot be read, or is too large.

    """
    try:
        if path == STDIN:
            content = _standard_input()
        else:
            with open(path, "rb") as file:  # noqa: PTH123 (`Path` takes an empty name for the current folder)
                content = file.read(LARGEST_PICTURE + 1)  # its size is not asked for: devices and pipes have none
    except IsADirectoryError as error:
        raise FileError(f"the folder holds no pictures: their names end in {', '.join(sorted(SUFFIXES))}") from error
    except OSError as error:
        raise FileError(error.strerror) from error
    if len(content) > LARGEST_PICTURE:
        raise FileError(f"larger than {LARGEST_PICTURE:,} bytes")
    return content


@cache
def _standard_input() -> bytes:
    """Return what there is on standard input, up to more than a picture may have; it can be read only once."""
    if not sys.stdin:
        raise FileError("standard input is closed")
    return sys.stdin.buffer.read(LARGEST_PICTURE + 1)


def run_info(arguments: argparse.Namespace) -> int:
    """Print what the model is, for people or as JSON; JSON has all of the metadata, as it is in the file."""
    classifier = Classifier(arguments.model)
    origin = {"file": str(arguments.model), "sha256": classifier.checksum}
    if arguments.json:
        print(json.dumps({**origin, **classifier.contract.decoded()}, indent=2))
        return 0
    contract, known = classifier.contract, classifier.contract.decoded()
    (channels, height, width), pixels = contract.image_shape, json.loads(contract.metadata["preprocessing"])
    lines = {
        **origin,
        "data set": known["dataset"],
        "labels": ", ".join(contract.labels),
        "images": f"{width}x{height}, {'grey' if channels == 1 else 'RGB'}, uint8",
        "polarity": pixels.get("polarity", "as in the data set"),
        "placing": pixels.get("placing", "as in the data set"),
        "accuracy": f"{float(contract.metadata['accuracy']):.2%} of the test images",
        "abstains": f"where `digit` x probability is below {contract.confidence_threshold:.3f}",
        "examples": f"{len(contract.golden.images)}, answered correctly",
    }
    for name, value in lines.items():
        print(f"{name:<10} {value}")
    return 0


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; what it says where the caller has closed the output is lost."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (until the program ends)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may have letters that the terminal lacks; who reads a pipe gets each answer when there is one.
        sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    arguments = build_parser().parse_args(argv)
    exit_with(lambda: arguments.run(arguments))
