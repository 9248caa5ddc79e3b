"""What surrounds a digit on its page is left out, and what belongs to it is kept; on pages drawn by code."""

import numpy as np
import pytest
from mnist_serving.preprocess.canonicalize import PictureError, canonicalize
from PIL import Image, ImageDraw

from benchmarks.degrade import degrade
from tests.pages import LINES, PAPERS, beside_a_dark_half, difference, drawn, half_in_the_shadow, paper, written


@pytest.mark.parametrize("digit", LINES)
@pytest.mark.parametrize("name", PAPERS)
def test_lines_frames_and_tables_are_left_out(name: str, digit: int) -> None:
    wanted = canonicalize(written(digit, paper()))
    assert difference(wanted, canonicalize(written(digit, PAPERS[name]))) < 0.45


@pytest.mark.parametrize("digit", LINES)
def test_a_digit_across_the_edge_of_a_shadow_is_read_whole(digit: int) -> None:
    page = half_in_the_shadow()
    picture = written(digit, paper()).astype(np.int64) * page // 230
    wanted = canonicalize(written(digit, paper()))
    assert difference(wanted, canonicalize(picture.astype(np.uint8))) < 0.6


@pytest.mark.parametrize("digit", LINES)
def test_a_small_digit_beside_a_dark_half_is_found(digit: int) -> None:
    picture = written(digit, beside_a_dark_half(), side=80, at=(70, 300))
    assert difference(canonicalize(written(digit, paper(), side=80)), canonicalize(picture)) < 0.45


@pytest.mark.parametrize("digit", LINES)
def test_a_band_from_border_to_border_is_left_out(digit: int) -> None:
    picture = written(digit, paper(width=600), side=80, at=(60, 400))
    picture[:, 80:130] = 40
    assert difference(canonicalize(written(digit, paper(), side=80)), canonicalize(picture)) < 0.45


@pytest.mark.parametrize("digit", LINES)
def test_paper_between_a_digit_and_the_edge_of_its_page_is_not_ink(digit: int) -> None:
    on_table, bare = paper(height=480, width=640), paper(height=480, width=640)
    on_table[:23] = on_table[:, :37] = 20
    wanted, out = (canonicalize(written(digit, page, side=80, at=(20, 30), ink=110)) for page in (bare, on_table))
    assert difference(wanted, out) < 0.2


@pytest.mark.parametrize("seed", [33, 62, 123, 226])
def test_paper_is_not_ink_where_much_of_the_picture_is_table(seed: int) -> None:
    image = Image.new("L", (280, 280))
    ImageDraw.Draw(image).ellipse((90, 50, 190, 230), outline=255, width=30)
    zero = np.asarray(image.resize((28, 28), Image.Resampling.BOX))
    assert difference(canonicalize(zero), canonicalize(degrade(zero, "page edge", (0, seed)))) < 0.5


def test_a_line_of_print_beside_the_digit_is_left_out() -> None:
    picture = written(2, beside_a_dark_half(), side=80, at=(70, 300))
    picture[215:225, 260:420] = 60
    assert difference(canonicalize(written(2, paper(), side=80)), canonicalize(picture)) < 0.45


def test_a_digit_of_short_strokes_keeps_them_all() -> None:
    picture = drawn(2, scale=1).copy()
    picture[[9, 10, 14, 15, 19]] //= 6  # the pen left the paper
    rows, _ = np.nonzero(canonicalize(picture) > 60)
    assert np.ptp(rows) + 1 >= 18


@pytest.mark.parametrize("digit", LINES)
def test_strokes_as_weak_as_the_grain_keep_their_width(digit: int) -> None:
    random = np.random.default_rng(digit)
    pen = np.asarray(Image.fromarray(drawn(digit)).resize((24, 24), Image.Resampling.BOX)).astype(np.float64)
    picture = np.full((32, 32), 120.0)
    picture[4:28, 4:28] -= pen * (22 / 255)
    out = canonicalize(np.clip(np.rint(picture + random.normal(0, 2, (32, 32))), 0, 255).astype(np.uint8))
    assert difference(canonicalize(drawn(digit)), out) < 0.6


def test_a_rectangle_drawn_as_a_zero_is_not_a_frame() -> None:
    image = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(image).rectangle((60, 20, 220, 260), outline=0, width=14)
    out = canonicalize(np.asarray(image))
    assert out[:, 14].max() > 100
    assert out[14, 12:17].max() == 0


def test_faint_and_broken_strokes_stay_together() -> None:
    picture = written(2, paper(), ink=205)
    picture[112:115] = 230  # the pen left the paper
    assert difference(canonicalize(written(2, paper())), canonicalize(picture)) < 0.45


def test_an_underline_and_a_full_stop_are_left_out() -> None:
    picture = written(7, paper())
    wanted = canonicalize(picture)
    picture[172:176, 110:190] = 50
    picture[145:152, 190:197] = 50
    assert difference(wanted, canonicalize(picture)) < 0.2


@pytest.mark.parametrize("count", [2, 3, 4])
def test_several_digits_are_refused_with_how_many_there_are(count: int) -> None:
    row = np.concatenate([255 - drawn(digit, scale=4) for digit in (4, 2, 7, 5)[:count]], axis=1)
    with pytest.raises(PictureError, match=f"there are {count} figures in the picture"):
        canonicalize(np.pad(row, 10, constant_values=255))


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_bar_along_the_border_is_not_a_digit(side: str) -> None:
    page = paper()
    bars = {"top": page[:9], "bottom": page[-9:], "left": page[:, :9], "right": page[:, -9:]}
    bars[side][...] = 20
    with pytest.raises(PictureError, match="no digit found"):
        canonicalize(page)
