"""Any picture of one digit comes out as MNIST draws it, or is refused with a sentence; on digits drawn by code."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from mnist_serving.errors import MnistServingError
from mnist_serving.preprocess.canonicalize import PictureError, canonicalize
from PIL import Image, ImageDraw

from benchmarks.degrade import KINDS, Picture, degrade

REFUSED = "no digit found in the picture|figures in the picture"

LINES = {
    1: [(14, 5), (14, 23)],
    2: [(9, 8), (13, 5), (18, 8), (18, 12), (9, 22), (19, 22)],
    4: [(10, 5), (9, 14), (19, 14), (17, 8), (17, 23)],
    5: [(18, 5), (10, 5), (10, 12), (16, 12), (18, 17), (14, 22), (9, 21)],
    7: [(8, 6), (19, 6), (12, 23)],
}


def drawn(digit: int, *, scale: int = 8, pen: float = 3.0) -> Picture:
    """Return white lines on black, `scale` times 28 pixels a side."""
    image = Image.new("L", (28 * scale, 28 * scale))
    points = [(x * scale, y * scale) for x, y in LINES[digit]]
    ImageDraw.Draw(image).line(points, fill=255, width=round(pen * scale), joint="curve")
    return np.asarray(image)


def small(digit: int) -> Picture:
    """Return the digit at MNIST's size."""
    return np.asarray(Image.fromarray(drawn(digit)).resize((28, 28), Image.Resampling.BOX))


def difference(one: Picture, other: Picture) -> float:
    """Return the mean difference as a share of the mean ink, one pixel's shift allowed.

    A centre of mass halfway between two pixels may be rounded either way.
    """
    first, second = np.pad(one.astype(float), 1), np.pad(other.astype(float), 1)
    shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    gaps = [np.abs(first - np.roll(second, shift, (0, 1))).sum() for shift in shifts]
    return float(min(gaps) / first.sum())


def assert_is_like_mnist(picture: Picture) -> None:
    """Check type, size, box and centre of mass."""
    assert picture.dtype == np.uint8
    assert picture.shape == (28, 28)
    rows, columns = np.nonzero(picture)
    assert np.ptp(rows) < 20
    assert np.ptp(columns) < 20
    assert picture.max() > 100


@pytest.mark.parametrize("digit", LINES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_comes_out_like_mnist(kind: str, digit: int) -> None:
    assert_is_like_mnist(canonicalize(degrade(small(digit), kind, (1, digit))))


@pytest.mark.parametrize("digit", LINES)
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"page edge", "thin pen", "thick pen"}))
def test_a_degraded_digit_comes_out_nearly_as_the_clean_one(kind: str, digit: int) -> None:
    wanted = canonicalize(np.pad(small(digit), 4))
    assert difference(wanted, canonicalize(degrade(small(digit), kind, (2, digit)))) < 0.45


@pytest.mark.parametrize("digit", LINES)
def test_the_centre_of_mass_lies_within_a_pixel_of_the_centre(digit: int) -> None:
    out = canonicalize(drawn(digit)).astype(float)
    place = np.arange(28)
    assert abs((out.sum(1) * place).sum() / out.sum() - 14) <= 1
    assert abs((out.sum(0) * place).sum() / out.sum() - 14) <= 1


@pytest.mark.parametrize("digit", LINES)
def test_the_longer_side_of_the_ink_is_twenty_pixels(digit: int) -> None:
    rows, columns = np.nonzero(canonicalize(drawn(digit)))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20


@pytest.mark.parametrize("digit", LINES)
def test_doing_it_twice_is_doing_it_once(digit: int) -> None:
    once = canonicalize(drawn(digit))
    assert np.array_equal(canonicalize(once), once)


def test_the_same_picture_gives_the_same_bytes_and_stays_as_it_was() -> None:
    picture = degrade(small(5), "photo", 3)
    before = picture.copy()
    assert np.array_equal(canonicalize(picture), canonicalize(picture))
    assert np.array_equal(picture, before)


@given(st.sampled_from(sorted(LINES)), st.integers(0, 200), st.integers(0, 100))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_where_the_digit_lies_on_the_page_does_not_matter(digit: int, x: int, y: int) -> None:
    page = np.zeros((360, 460), np.uint8)
    page[y : y + 224, x : x + 224] = drawn(digit)
    corner = np.zeros((360, 460), np.uint8)
    corner[:224, :224] = drawn(digit)
    assert difference(canonicalize(corner), canonicalize(page)) < 0.25


@given(st.sampled_from(sorted(LINES)), st.integers(2, 12))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_ink_may_be_lighter_or_darker_than_the_page(digit: int, scale: int) -> None:
    picture = drawn(digit, scale=scale)
    assert difference(canonicalize(picture), canonicalize(255 - picture)) < 0.1


@given(st.sampled_from(sorted(LINES)), st.floats(1.2, 6))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_thick_and_thin_pens_come_out_of_middling_width(digit: int, pen: float) -> None:
    wanted = canonicalize(drawn(digit)).astype(float).sum()
    assert 0.6 < canonicalize(drawn(digit, pen=pen)).astype(float).sum() / wanted < 1.6


@given(st.integers(8, 300), st.integers(8, 300), st.integers(0, 255))
@settings(deadline=None, derandomize=True, max_examples=25)
def test_a_blank_page_is_refused_with_a_sentence(height: int, width: int, level: int) -> None:
    with pytest.raises(ValueError, match="no digit found in the picture"):
        canonicalize(np.full((height, width), level, np.uint8))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["shaded", "noisy", "photo"])
def test_a_page_without_ink_is_refused_whatever_its_light_and_texture(kind: str, seed: int) -> None:
    with pytest.raises(ValueError, match="no digit found in the picture"):
        canonicalize(degrade(np.zeros((28, 28), np.uint8), kind, seed))


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=8, max_side=90)))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_any_picture_comes_out_like_mnist_or_is_refused(picture: Picture) -> None:
    try:
        out = canonicalize(picture)
    except ValueError as error:
        assert re.search(REFUSED, str(error))  # noqa: PT017 (either outcome is right)
    else:
        assert out.shape == (28, 28)
        assert out.dtype == np.uint8
        assert max(np.ptp(np.nonzero(out)[0]), np.ptp(np.nonzero(out)[1])) < 20


@pytest.mark.parametrize("shape", [(8, 8), (8, 3000), (5000, 9), (300, 17), (1025, 241)])
@pytest.mark.parametrize("seed", range(3))
def test_noise_of_any_shape_never_crashes(shape: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    noise[rng.random(shape) < 0.6] = 0
    try:
        assert canonicalize(noise).shape == (28, 28)
    except ValueError as error:
        assert re.search(REFUSED, str(error))  # noqa: PT017 (either outcome is right)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ([[0] * 28] * 28, "not list"),
        (np.zeros((28, 28)), "not float64"),
        (np.full((28, 28), np.nan, np.float32), "not float32"),
        (np.zeros((28, 28), np.bool_), "not bool"),
        (np.zeros((28, 28), object), "not object"),
        (np.zeros(784, np.uint8), r"\[784\]"),
        (np.zeros((28, 28, 3), np.uint8), r"\[28, 28, 3\]"),
        (np.zeros((0, 28), np.uint8), "at least 8"),
        (np.zeros((7, 28), np.uint8), "at least 8"),
    ],
)
def test_what_is_no_grey_picture_is_refused_with_what_came(picture: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        canonicalize(picture)  # type: ignore[arg-type]


def test_a_picture_of_twenty_million_pixels_comes_out_like_the_small_one() -> None:
    picture = 255 - drawn(2)
    assert difference(canonicalize(picture), canonicalize(np.kron(picture, np.ones((20, 20), np.uint8)))) < 0.1


def test_a_one_keeps_the_width_of_its_stroke_wherever_it_lies() -> None:
    """Rounding the box's shorter side to whole pixels gave a one up to a sixth more ink, or less."""
    ink = []
    for x in range(12):
        page = np.zeros((280, 300), np.uint8)
        page[x : x + 224, x : x + 224] = drawn(1)
        ink.append(int(canonicalize(page).sum()))
    assert max(ink) < 1.1 * min(ink)


def test_the_error_is_the_packages_and_a_value_error() -> None:
    with pytest.raises(PictureError) as caught:
        canonicalize(np.zeros((28, 28), np.uint8))
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MnistServingError)


@pytest.mark.parametrize("shape", [(8, 30_000), (30_000, 8)])
def test_a_line_as_long_as_a_strip_of_paper_is_no_digit(shape: tuple[int, int]) -> None:
    strip = np.zeros(shape, np.uint8)
    strip[3:5, 3:] = 255
    strip[3:, 3:5] = 255
    with pytest.raises(PictureError, match="no digit found"):
        canonicalize(strip)


def written(digit: int, paper: Picture, *, side: int = 112, at: tuple[int, int] = (60, 90), ink: int = 50) -> Picture:
    """Return the paper with a digit on it, in dark ink."""
    pen = np.asarray(Image.fromarray(drawn(digit)).resize((side, side), Image.Resampling.BOX))
    picture = paper.copy()
    part = picture[at[0] : at[0] + side, at[1] : at[1] + side]
    part[...] = np.minimum(part, 230 - pen.astype(np.int64) * (230 - ink) // 255)
    return picture


def paper(*, height: int = 240, width: int = 300) -> Picture:
    """Return bare light paper."""
    return np.full((height, width), 230, np.uint8)


def ruled(*, pitch: int, level: int, slope: float = 0.0) -> Picture:
    """Return paper with lines across, sloping by so many pixels for each along."""
    page = paper()
    y, x = np.mgrid[: page.shape[0], : page.shape[1]]
    page[(y + np.floor(slope * x)) % pitch < 2] = level
    return page


def squared() -> Picture:
    page = ruled(pitch=40, level=150)
    page[:, 7::40] = 150
    return page


def boxed() -> Picture:
    page = paper()
    ImageDraw.Draw(image := Image.fromarray(page)).rectangle((20, 20, 278, 218), outline=20, width=4)
    return np.asarray(image)


def framed_at_the_rim() -> Picture:
    page = paper()
    page[:6] = page[-5:] = 30
    page[:, :7] = page[:, -4:] = 30
    return page


def beside_a_table() -> Picture:
    page = paper()
    page[:, :70] = 25
    return page


def beside_a_dark_half() -> Picture:
    """Return a page whose light no smooth surface follows, as a scanner leaves beside a book."""
    page = np.concatenate([np.full((240, 220), 15, np.uint8), paper()[:, :240]], axis=1)
    page[:, 224:228] = 140
    return page


def half_in_the_shadow() -> Picture:
    page = paper()
    page[:, 140:] = 150
    return page


PAPERS = {
    "ruled": ruled(pitch=45, level=120),
    "ruled, sloping": ruled(pitch=60, level=120, slope=0.04),
    "squared": squared(),
    "boxed": boxed(),
    "framed": framed_at_the_rim(),
    "table": beside_a_table(),
}


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


def test_a_rectangle_drawn_as_a_zero_is_no_frame() -> None:
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
def test_a_bar_along_the_border_is_no_digit(side: str) -> None:
    page = paper()
    bars = {"top": page[:9], "bottom": page[-9:], "left": page[:, :9], "right": page[:, -9:]}
    bars[side][...] = 20
    with pytest.raises(PictureError, match="no digit found"):
        canonicalize(page)


def test_one_picture_costs_the_time_of_one_processor() -> None:
    """BLAS threads would spin on the others."""
    picture = 255 - drawn(2, scale=10)
    canonicalize(picture)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(20):
        canonicalize(picture)
    assert time.process_time() - processor < 1.3 * (time.perf_counter() - wall) + 0.05
