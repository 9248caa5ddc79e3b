"""Says which class each picture belongs to, as the service answers by the Open Inference Protocol.

    python classify.py URL PICTURE...

A picture is a binary PGM of the size that the service takes, white ink on black. Exit codes: 0 done, 1 a file could
not be read or the service did not answer, 2 wrong usage.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

MODEL = "mnist"
AT_ONCE = 500  # pictures in a request; the service takes 1,024
Images = npt.NDArray[np.uint8]


def address(url: str) -> str:
    """Return a URL without its scheme, as tritonclient wants them."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not parts.port:
        raise argparse.ArgumentTypeError(f"{url!r} is not like http://127.0.0.1:8000")
    return parts.netloc + parts.path.rstrip("/")


def read_pgm(path: Path, shape: list[int]) -> Images:
    """Return the grey levels, uint8 [1,height,width], of a binary PGM."""
    content = path.read_bytes()
    header = re.match(rb"P5\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+255\s", content)
    if header is None:
        raise ValueError("no binary PGM with grey levels 0 to 255")
    width, height = map(int, header.groups())
    if [1, height, width] != shape:
        raise ValueError(f"{width}x{height} pixels; the service takes {shape[2]}x{shape[1]}")
    return np.frombuffer(content, np.uint8, height * width, header.end()).reshape(shape)


def read_all(paths: list[Path], shape: list[int]) -> list[tuple[Path, Images]]:
    """Return the pictures with their files; complain about those that cannot be read."""
    pictures = []
    for path in paths:
        try:
            pictures.append((path, read_pgm(path, shape)))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"classify.py: {path}: {reason}", file=sys.stderr)
    return pictures


def classify(client: triton.InferenceServerClient, images: Images) -> list[str]:
    """Return label and probability of the best class for each of the images, uint8 [N,1,height,width]."""
    image = triton.InferInput("image", list(images.shape), "UINT8")
    image.set_data_from_numpy(images)
    best = triton.InferRequestedOutput("probabilities", class_count=1)  # one "value:place:label" instead of all values
    reply = client.infer(MODEL, [image], outputs=[best])
    entries = (entry.decode().split(":", 2) for entry in reply.as_numpy("probabilities").ravel())
    return [f"{label}  {float(probability):.4f}" for probability, _, label in entries]


def main() -> None:
    """Print an answer for each picture."""
    parser = argparse.ArgumentParser(description="Ask the service which class each picture belongs to.")
    parser.add_argument("address", type=address, metavar="URL", help="the service's, such as http://127.0.0.1:8000")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="a binary PGM, white on black")
    arguments = parser.parse_args()
    try:
        with triton.InferenceServerClient(arguments.address) as client:
            (image,) = client.get_model_metadata(MODEL)["inputs"]
            pictures = read_all(arguments.pictures, image["shape"][1:])
            images = [pixels for _, pixels in pictures]
            answers = [
                answer
                for start in range(0, len(images), AT_ONCE)
                for answer in classify(client, np.stack(images[start : start + AT_ONCE]))
            ]
    except (InferenceServerException, OSError) as error:
        sys.exit(f"classify.py: {arguments.address}: {error}; does `mnist-serving serve` listen there?")
    for (path, _), answer in zip(pictures, answers, strict=True):
        print(f"{path}: {answer}")
    sys.exit(len(pictures) < len(arguments.pictures))


if __name__ == "__main__":
    main()
