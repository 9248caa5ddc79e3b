"""Writes pictures to try the examples with: the golden examples of a model, which were drawn by code.

    python pictures.py FOLDER

Each comes twice: as `golden-N.pgm`, 28x28 and white on black as the model takes it, and as `golden-N.png`, large and
dark on light as people have it. FOLDER is made if it is missing. Needs Python alone.
"""

import argparse
import base64
import json
import struct
import sys
import zlib
from pathlib import Path

DESCRIPTION = Path(__file__).resolve().parents[1] / "serving/mnist_serving/model.json"
TIMES = 8  # the PNG is so many times as large


def as_pgm(pixels: bytes, height: int, width: int) -> bytes:
    """Return a picture as it is: https://netpbm.sourceforge.net/doc/pgm.html."""
    return b"P5\n%d %d\n255\n" % (width, height) + pixels


def as_png(pixels: bytes, height: int, width: int) -> bytes:
    """Return a picture inverted and enlarged: https://www.w3.org/TR/png-3/."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", TIMES * width, TIMES * height, 8, 0, 0, 0, 0)  # 8 bits, grey
    rows = [pixels[start : start + width] for start in range(0, len(pixels), width)]
    large = [b"\0" + bytes(255 - level for level in row for _ in range(TIMES)) for row in rows]
    content = zlib.compress(b"".join(row for row in large for _ in range(TIMES)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description="Write pictures to try the examples with.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    folder = parser.parse_args().folder
    description = json.loads(DESCRIPTION.read_bytes())
    height, width = description["preprocessing"]["size"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(description["golden"]["images"], start=1):
            pixels = base64.b64decode(text)
            (folder / f"golden-{number}.pgm").write_bytes(as_pgm(pixels, height, width))
            (folder / f"golden-{number}.png").write_bytes(as_png(pixels, height, width))
    except OSError as error:
        sys.exit(f"pictures.py: {folder} cannot be written to: {error.strerror}")


if __name__ == "__main__":
    main()
