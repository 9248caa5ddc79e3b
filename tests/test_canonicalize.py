"""Any picture of one digit becomes one as MNIST draws it, or is refused with a sentence; on digits drawn by code."""

import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from mnist_serving.errors import MnistServingError
from mnist_serving.preprocess.canonicalize import PictureError, canonicalize
from mnist_serving.preprocess.number import canonicalize_number

from benchmarks.degrade import KINDS, Picture, degrade
from tests.pages import LINES, difference, drawn, small

REFUSED = "no digit found in the picture|figures in the picture"


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
def test_every_kind_of_picture_becomes_like_mnist(kind: str, digit: int) -> None:
    assert_is_like_mnist(canonicalize(degrade(small(digit), kind, (1, digit))))


@pytest.mark.parametrize("digit", LINES)
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"page edge", "thin pen", "thick pen"}))
def test_a_degraded_digit_becomes_nearly_the_clean_one(kind: str, digit: int) -> None:
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
def test_thick_and_thin_pens_become_medium(digit: int, pen: float) -> None:
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
def test_any_picture_becomes_like_mnist_or_is_refused(picture: Picture) -> None:
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
def test_anything_but_a_grey_picture_is_refused_by_what_it_is(picture: object, said: str) -> None:
    for read in (canonicalize, canonicalize_number):
        with pytest.raises(PictureError, match=said):
            read(picture)  # type: ignore[arg-type]


def test_a_picture_of_twenty_million_pixels_gives_the_same_as_a_small_one() -> None:
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


@pytest.mark.parametrize("shape", [(8, 7_000), (8, 1_000_000), (1_000_000, 8)])
def test_a_line_as_long_as_a_strip_of_paper_is_not_a_digit(shape: tuple[int, int]) -> None:
    strip = np.zeros(shape, np.uint8)
    strip[3:5, 3:] = 255
    strip[3:, 3:5] = 255
    with pytest.raises(PictureError, match="no digit found"):
        canonicalize(strip)


def test_one_picture_costs_the_time_of_one_processor() -> None:
    """BLAS threads would spin on the others."""
    picture = 255 - drawn(2, scale=10)
    canonicalize(picture)
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(20):
        canonicalize(picture)
    assert time.process_time() - processor < 1.3 * (time.perf_counter() - wall) + 0.05
