"""examples/web makes of every picture, to the byte, what the package makes of it; on pictures drawn by code."""

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mnist_serving.images import read_grey
from mnist_serving.preprocess.canonicalize import PictureError, canonicalize
from PIL import Image

from benchmarks.degrade import KINDS, Picture, degrade
from benchmarks.launch import RuntimeMissingError, find_command
from benchmarks.runtimes import draw_images
from tests.conftest import ROOT
from tests.pages import LINES, PAPERS, drawn, small, written

WEB = ROOT / "examples/web"
STROKES = draw_images(60)[:-3, 0]  # without those that are blank, full and noise

# Reads pictures from `pixels`, one after the other; writes what became of each: 784 levels, or what is wrong with it.
CANONICALIZE = """
import { readFileSync, writeFileSync } from "node:fs";
import { canonicalize } from "WEB/canonicalize.js";

let start = 0;
const pixels = readFileSync("pixels");
const replies = JSON.parse(readFileSync("shapes")).map(([height, width]) => {
  const grey = Uint8Array.from(pixels.subarray(start, (start += height * width)));
  try {
    return [...canonicalize(grey, width, height)];
  } catch (error) {
    return error.message;
  }
});
writeFileSync("replies", JSON.stringify(replies));
"""

TO_GREY = """
import { readFileSync, writeFileSync } from "node:fs";
import { toGrey } from "WEB/picture.js";

const [[height, width]] = JSON.parse(readFileSync("shapes"));
const picture = toGrey({ data: new Uint8ClampedArray(readFileSync("pixels")), width, height });
writeFileSync("replies", JSON.stringify([[picture.height, picture.width], ...picture.grey]));
"""


def run_in_node(program: str, pixels: bytes, shapes: list[tuple[int, ...]], folder: Path) -> bytes:
    """Run one of the programs above in a folder; return its replies."""
    try:
        node = find_command("node")
    except RuntimeMissingError as error:
        pytest.skip(str(error))
    (folder / "pixels").write_bytes(pixels)
    (folder / "shapes").write_text(json.dumps(shapes))
    (folder / "program.mjs").write_text(program.replace("WEB", WEB.as_uri()))
    done = subprocess.run([node, "program.mjs"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "replies").read_bytes()


def in_python(picture: Picture) -> list[int] | str:
    """Return the canonical picture's levels, or what is wrong with it."""
    try:
        return canonicalize(picture).ravel().tolist()
    except PictureError as error:
        return str(error)


def assert_both_agree(pictures: list[Picture], folder: Path) -> list[list[int] | str]:
    """Compare the two on each picture; return what they say."""
    pixels = b"".join(picture.tobytes() for picture in pictures)
    shapes = [picture.shape for picture in pictures]
    replies: list[list[int] | str] = json.loads(run_in_node(CANONICALIZE, pixels, shapes, folder))
    wanted = [in_python(picture) for picture in pictures]
    assert len(replies) == len(wanted)
    differing = [place for place, reply in enumerate(replies) if reply != wanted[place]]
    assert not differing, f"{len(differing)} of {len(wanted)} differ, the first is {differing[0]}"
    return replies


def drawn_pages(random: np.random.Generator, count: int) -> Iterator[Picture]:
    """Straight strokes of any level on a page of any level, 28 to 640 pixels a side; some are blank, some touch."""
    for _ in range(count):
        page = np.full(random.integers(28, 641, 2), random.integers(256), np.uint8)
        for _ in range(random.integers(4)):
            top, left = random.integers(0, page.shape)
            height, width = (random.integers(1, side // 2) for side in page.shape)
            page[top : top + height, left : left + random.integers(1, width + 1)] = random.integers(256)
        yield page


def cut_pages(random: np.random.Generator, count: int) -> Iterator[Picture]:
    """Degraded pictures with a part cut away, so that ink touches the border."""
    for number in range(count):
        picture = degrade(STROKES[number % len(STROKES)], list(KINDS)[number % len(KINDS)], (7, number))
        top, left = (int(random.integers(0, side // 2)) for side in picture.shape)
        yield picture[top:, left:]


def noise(random: np.random.Generator, count: int) -> Iterator[Picture]:
    """Noise of any density and any shape from 8x8."""
    for _ in range(count):
        picture = random.integers(0, 256, random.integers(8, 120, 2), np.uint8)
        picture[random.random(picture.shape) < random.random()] = random.integers(256)
        yield picture


@pytest.mark.parametrize("kind", KINDS)
def test_a_degraded_drawing_gives_the_same(kind: str, tmp_path: Path) -> None:
    pictures = [degrade(stroke, kind, (5, number)) for number, stroke in enumerate(STROKES[:20])]
    replies = assert_both_agree(pictures, tmp_path)
    assert sum(isinstance(reply, list) for reply in replies) >= 15


def test_pages_of_any_size_cut_pages_and_noise_give_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    strips = [np.tile(np.array([[0, 255]], np.uint8), (8, length)) for length in (3_900, 4_100)]  # 8,000 is too long
    pictures = [*drawn_pages(random, 120), *cut_pages(random, 55), *noise(random, 60), *strips]
    replies = assert_both_agree(pictures, tmp_path)
    assert sum(isinstance(reply, str) for reply in replies) >= 10
    assert sum(isinstance(reply, list) for reply in replies) >= 100


def test_lines_frames_tables_and_several_digits_give_the_same(tmp_path: Path) -> None:
    pictures = [written(digit, page) for digit in LINES for page in PAPERS.values()]
    pictures += [written(digit, page)[60:, 40:] for digit in LINES for page in PAPERS.values()]
    pictures.append(np.concatenate([drawn(4, scale=4), drawn(2, scale=4)], axis=1))
    replies = assert_both_agree(pictures, tmp_path)
    assert "there are 2 figures" in str(replies[-1])


def test_grainy_pictures_give_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    pages = [150 - small(digit).astype(np.int64) // 12 for digit in LINES]
    pictures = [np.clip(page + random.normal(0, 4, page.shape), 0, 255).astype(np.uint8) for page in pages]
    replies = assert_both_agree(pictures, tmp_path)
    assert any(isinstance(reply, list) for reply in replies)


def test_what_is_canonical_stays_as_it_is(tmp_path: Path) -> None:
    once = [canonicalize(degrade(stroke, "enlarged", number)) for number, stroke in enumerate(STROKES[:20])]
    assert assert_both_agree(once, tmp_path) == [picture.ravel().tolist() for picture in once]


def test_blank_pages_and_pictures_too_small_are_refused_with_the_same_sentence(tmp_path: Path) -> None:
    shapes = ((28, 28), (560, 560), (7, 28), (28, 7))
    blank, _, low, narrow = assert_both_agree([np.full(shape, 255, np.uint8) for shape in shapes], tmp_path)
    assert "no digit found in the picture" in blank
    assert "[7, 28]: each side must be at least 8 pixels" in low
    assert "[28, 7]: each side must be at least 8 pixels" in narrow


def test_long_and_large_pictures_give_the_same(tmp_path: Path) -> None:
    pictures = []
    for shape in ((8, 3000), (3000, 9), (1025, 241), (2000, 1500)):
        page = np.full(shape, 240, np.uint8)
        page[shape[0] // 3 : shape[0] // 2, shape[1] // 3 : shape[1] // 2] = 10
        pictures.append(page)
    assert_both_agree(pictures, tmp_path)


def coloured_layers() -> dict[str, Picture]:
    """Pictures in RGBA, [H, W, 4], of every way to be transparent and coloured."""
    level, alpha = np.meshgrid(np.arange(256), np.arange(256))
    every = np.stack([level, 255 - level, (7 * level + alpha) % 256, alpha], -1).astype(np.uint8)
    ink = np.zeros((60, 50, 4), np.uint8)
    ink[10:50, 20:30, 3] = 255
    white = ink.copy()
    white[..., :3] = 255
    page = np.zeros((60, 50, 4), np.uint8)
    page[20:, 10:45] = (250, 130, 30, 255)
    page[30:50, 20:30, :3] = (160, 20, 20)
    alike = np.full((60, 50, 4), (150, 215, 235, 255), np.uint8)
    alike[10:50, 20:30, :3] = (240, 190, 40)
    return {"every level": every, "dark ink": ink, "light ink": white, "a page": page, "inks as light": alike}


@pytest.mark.parametrize("name", coloured_layers())
def test_colours_and_transparency_become_the_same_grey(name: str, tmp_path: Path) -> None:
    pixels = coloured_layers()[name]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    wanted = read_grey(file.getvalue())
    replies = json.loads(run_in_node(TO_GREY, pixels.tobytes(), [pixels.shape[:2]], tmp_path))
    assert replies == [[*wanted.shape], *wanted.ravel().tolist()]
