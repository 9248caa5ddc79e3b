"""Whole numbers: each digit in a row is found and read by itself, or the number is refused; on digits drawn by code."""

import base64
import io
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from mnist_serving import Classifier, canonicalize
from mnist_serving.images import read_number
from mnist_serving.preprocess.canonicalize import PictureError
from mnist_serving.preprocess.number import Candidate, Place, best_rows, canonicalize_number
from PIL import Image, ImageDraw

from tests.handwriting import write_digit
from tests.http_service import ask, ask_json, error_of, make_service
from tests.pages import difference

CLASSIFIER = Classifier()
CLEAR = {"0": 0, "1": 0, "2": 0, "3": 0, "4": 1, "5": 0, "6": 0, "7": 0, "8": 1, "9": 1}  # seeds of `write_digit`
HEIGHT, WIDTH, PEN = 160, 100, 9
PNG = {b"content-type": b"image/png"}


def page(number: str, *, apart: int = 90, sizes: Sequence[float] = ()) -> Image.Image:
    """Return a number as a pen draws it, black on white, each digit so many pixels after the one before."""
    sheet = Image.new("L", (apart * (len(number) - 1) + WIDTH + 40, HEIGHT), 255)
    draw = ImageDraw.Draw(sheet)
    for place, digit in enumerate(number):
        size = sizes[place] if sizes else 1
        for stroke in write_digit(digit, CLEAR[digit]):
            points = [(20 + place * apart + x * size, 30 + y * size) for x, y in stroke.tolist()]
            draw.line(points, fill=0, width=PEN, joint="curve")
    return sheet


def pixels(picture: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(picture)


def file_of(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("number", ["7", "42", "907", "1984", "20356"])
def test_the_digits_of_a_number_are_read_from_left_to_right(number: str) -> None:
    read = CLASSIFIER.read_number(pixels(page(number)))
    assert (read.text, read.abstained, read.reason) == (number, False, "")
    assert read.images.shape == (len(number), 28, 28)
    assert read.places == sorted(read.places)


def test_a_picture_of_one_digit_is_drawn_as_it_is_alone() -> None:
    for digit in "0123456789":
        grey = pixels(page(digit))
        images, _ = canonicalize_number(grey)
        assert np.array_equal(images[0], canonicalize(grey))


def test_a_digit_in_a_row_is_drawn_nearly_as_it_is_alone() -> None:
    images, _ = canonicalize_number(pixels(page("3725")))
    for digit, image in zip("3725", images, strict=True):
        alone = canonicalize(pixels(page(digit)))
        assert difference(alone, image) < 0.35


@pytest.mark.parametrize("turned", [1, 6, 8])
@pytest.mark.parametrize("times", [1, 26])
def test_boxes_are_in_pixels_of_the_picture_as_it_is_seen(turned: int, times: int) -> None:
    upright = page("42").resize((230 * times, HEIGHT * times), Image.Resampling.NEAREST)
    stored = upright.rotate({1: 0, 6: 90, 8: -90}[turned], expand=True)
    exif = Image.Exif()
    exif[0x0112] = turned
    for kind in ("JPEG", "PNG"):
        _, candidates = read_number(file_of(stored, kind, exif=exif), CLASSIFIER.contract)
        for place, candidate in enumerate(candidates):
            ink = pixels(page("42"))[:, 20 + 90 * place : 110 + 90 * place] < 128
            rows, columns = np.nonzero(ink)
            left, top = columns.min() + 20 + 90 * place, rows.min()
            right, bottom = columns.max() + 21 + 90 * place, rows.max() + 1
            assert np.abs(np.array(candidate.place) / times - (left, top, right, bottom)).max() < 4


def test_a_page_on_a_transparent_ground_has_its_boxes_where_it_lies() -> None:
    ground = Image.new("RGBA", (600, 500), (0, 0, 0, 0))
    ground.paste(page("42").convert("RGBA"), (250, 220))
    _, (four, _) = read_number(file_of(ground), CLASSIFIER.contract)
    _, (alone, _) = read_number(file_of(page("42")), CLASSIFIER.contract)
    assert np.abs(np.array(four.place) - alone.place - (250, 220, 250, 220)).max() <= 2


def test_digits_that_touch_are_cut_apart() -> None:
    touching = page("25", apart=44)
    assert len({candidate.figure for candidate in canonicalize_number(pixels(touching))[1]}) == 1
    assert CLASSIFIER.read_number(pixels(touching)).text == "25"


def marked(draw_mark: str) -> npt.NDArray[np.uint8]:
    sheet = page("314", apart=120)
    draw = ImageDraw.Draw(sheet)
    if draw_mark == "point":
        draw.ellipse((116, 106, 128, 118), fill=0)
    elif draw_mark == "minus":
        draw.line((112, 80, 142, 80), fill=0, width=PEN)
    return pixels(sheet)


@pytest.mark.parametrize("mark", ["point", "minus"])
def test_a_mark_between_the_digits_refuses_the_number(mark: str) -> None:
    with pytest.raises(PictureError, match="something beside the digits that is not a digit"):
        CLASSIFIER.read_number(marked(mark))


def test_several_lines_and_unlike_sizes_and_very_many_figures_are_refused() -> None:
    lines = np.concatenate([pixels(page("42")), pixels(page("17"))])
    with pytest.raises(PictureError, match="several lines of figures"):
        CLASSIFIER.read_number(lines)
    for number, sizes in (("271", (1, 0.5, 0.5)), ("817", (0.7, 0.7, 1.5)), ("888", (0.6, 1.1, 0.35))):
        with pytest.raises(PictureError, match=r"unlike sizes|several lines|something beside the digits"):
            CLASSIFIER.read_number(pixels(page(number, sizes=sizes)))
    with pytest.raises(PictureError, match="more than 32 figures"):
        CLASSIFIER.read_number(pixels(page("1" * 40, apart=40)))


def test_an_empty_page_is_refused() -> None:
    with pytest.raises(PictureError, match="no digit found in the picture"):
        CLASSIFIER.read_number(np.full((100, 200), 255, np.uint8))


def test_a_number_is_not_sure_where_one_of_its_figures_is_not() -> None:
    sheet = page("101", apart=110)
    ImageDraw.Draw(sheet).line([(140, 50), (200, 110), (170, 80), (200, 50), (140, 110)], fill=0, width=PEN)
    read = CLASSIFIER.read_number(pixels(sheet))
    assert read.abstained
    assert read.reason == "figure 2 of 3: no digit, or digits that touch"


def candidates(*spans: tuple[int, int, int]) -> list[Candidate]:
    return [Candidate(Place(0, 0, 1, 1), *span) for span in spans]


def test_a_figure_is_cut_only_where_it_is_not_surely_a_digit_and_all_its_parts_are() -> None:
    several = candidates((0, 0, 1), (1, 0, 3), (1, 0, 1), (1, 0, 2), (1, 1, 3), (1, 2, 3))
    assert best_rows(several, np.array([0.9, 0.8, 0.99, 0.99, 0.99, 0.99])) == [0, 1]
    assert best_rows(several, np.array([0.9, 0.1, 0.99, 0.8, 0.9, 0.8])) == [0, 2, 4]
    assert best_rows(several, np.array([0.9, 0.1, 0.99, 0.8, 0.6, 0.7])) == [0, 1]


# --- over HTTP ---------------------------------------------------------------------------------------------


def test_the_service_answers_with_the_number_its_digits_and_their_boxes() -> None:
    body = file_of(page("42"))
    for query in ("number=true", "number=true&seen=true"):
        (entry,) = json.loads(ask(make_service(), "/predict", body, PNG, query=query).body)["predictions"]
        assert list(entry) == ["number", "probability", "digits", "abstained"]
        assert (entry["number"], entry["abstained"]) == ("42", False)
        assert [digit["label"] for digit in entry["digits"]] == ["4", "2"]
        for digit in entry["digits"]:
            left, top, right, bottom = digit["box"]
            assert 0 <= left < right <= 230
            assert 0 <= top < bottom <= HEIGHT
            assert len(digit.get("seen", [])) == (784 if "seen" in query else 0)


def test_several_pictures_of_a_request_are_each_a_number() -> None:
    images = [base64.b64encode(file_of(page(number))).decode() for number in ("42", "7", "20356")]
    service = make_service()
    request = json.dumps({"images": images}).encode()
    reply = ask(service, "/predict", request, {b"content-type": b"application/json"}, query="number=true")
    assert [entry["number"] for entry in json.loads(reply.body)["predictions"]] == ["42", "7", "20356"]


def test_a_number_that_is_not_sure_gives_its_reason_over_http() -> None:
    sheet = page("101", apart=110)
    ImageDraw.Draw(sheet).line([(140, 50), (200, 110), (170, 80), (200, 50), (140, 110)], fill=0, width=PEN)
    (entry,) = json.loads(ask(make_service(), "/predict", file_of(sheet), PNG, query="number=true").body)["predictions"]
    assert entry["abstained"]
    assert entry["reason"].startswith("figure 2 of 3: ")
    assert [digit["abstained"] for digit in entry["digits"]] == [False, True, False]


def test_what_cannot_be_a_number_is_a_400_with_its_reason() -> None:
    service = make_service()
    headers = {b"content-type": b"application/json"}
    numbers = ask(service, "/predict", json.dumps({"image": [0] * 784}).encode(), headers, query="number=true")
    assert (numbers.status, "`image` must be a picture file in base64" in error_of(numbers)) == (400, True)
    wrong = ask(service, "/predict", file_of(page("42")), PNG, query="number=yes")
    assert (wrong.status, error_of(wrong)) == (400, "`number` must be true or false")
    blank = ask(service, "/predict", file_of(Image.new("L", (90, 90), 255)), PNG, query="number=true")
    assert (blank.status, "no digit found" in error_of(blank)) == (400, True)
    assert ask_json(service, "/predict", {"image": [0] * 784}).status == 200
