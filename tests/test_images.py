"""Whatever file a picture comes in, the same pixels are read, or a sentence says why not."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from mnist_serving.decode import PNG_SIGNATURE
from mnist_serving.images import read_grey
from PIL import ExifTags, Image, ImageDraw, PngImagePlugin

Pixels = npt.NDArray[np.uint8]


def seven(mode: str = "L", *, ink: object = 0, page: object = 255) -> Image.Image:
    """Return a 7, 140 pixels wide and 120 high."""
    image = Image.new(mode, (140, 120), page)  # type: ignore[arg-type]
    ImageDraw.Draw(image).line([(40, 30), (95, 30), (60, 100)], fill=ink, width=12)  # type: ignore[arg-type]
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PLAIN = np.asarray(seven())


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_every_kind_of_file_gives_the_same_grey(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(read_grey(saved(seven("RGB", ink=(0, 0, 0), page=(255, 255, 255)), kind, **options)), PLAIN)


def test_one_bit_and_grey_with_alpha_give_the_same_grey() -> None:
    assert np.array_equal(read_grey(saved(seven("1", ink=0, page=1))), PLAIN)
    assert np.array_equal(read_grey(saved(seven("LA", ink=(0, 255), page=(255, 255)))), PLAIN)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_sixteen_bits_are_scaled_by_those_in_use(bits: int) -> None:
    levels = np.where(PLAIN > 0, 2**bits - 1, 0).astype(np.uint16)
    assert np.array_equal(read_grey(saved(Image.fromarray(levels))), PLAIN)


@pytest.mark.parametrize("tone", [0, 90, 255])
def test_ink_on_a_transparent_page_is_seen_whatever_its_tone(tone: int) -> None:
    grey = read_grey(saved(seven("RGBA", ink=(tone, tone, tone, 255), page=(tone, tone, tone, 0))))
    assert abs(int(grey[30, 60]) - int(grey[5, 5])) > 150


def test_a_page_with_nothing_around_it_is_cut_out() -> None:
    sheet = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    sheet.paste(seven("RGBA", ink=(40, 40, 40, 255), page=(220, 220, 220, 255)), (200, 100))
    assert read_grey(saved(sheet)).shape == PLAIN.shape


def test_colours_of_the_same_grey_are_told_apart() -> None:
    grey = read_grey(saved(seven("RGB", ink=(240, 190, 40), page=(150, 215, 235))))
    assert abs(int(grey[30, 60]) - int(grey[5, 5])) > 90


def test_texts_and_profiles_of_any_size_do_not_matter() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", "much" * 1_000_000, zip=True)
    content = saved(seven(), pnginfo=texts, icc_profile=b"no profile at all")
    assert np.array_equal(read_grey(content), PLAIN)


def test_a_broken_chunk_that_the_pixels_do_not_need_is_passed_over() -> None:
    content = saved(seven())
    end = content.index(b"IHDR") + 21
    broken = struct.pack(">I", 4) + b"tIME" + b"\0\0\0\0" + struct.pack(">I", zlib.crc32(b"another"))
    assert content.startswith(PNG_SIGNATURE)
    assert np.array_equal(read_grey(content[:end] + broken + content[end:]), PLAIN)


@pytest.mark.parametrize(("kind", "count", "value"), [(3, 1, b"\0\6\0\0"), (2, 2, b"6\0\0\0")], ids=["number", "text"])
def test_the_orientation_is_followed_as_a_number_or_a_text(kind: int, count: int, value: bytes) -> None:
    entry = struct.pack(">HHI", ExifTags.Base.Orientation, kind, count) + value
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1" + entry + b"\0\0\0\0"
    content = saved(seven().rotate(90, expand=True), "JPEG", exif=exif, quality=95)
    assert np.abs(read_grey(content).astype(int) - PLAIN).mean() < 5


def test_exif_that_cannot_be_read_is_passed_over() -> None:
    content = saved(seven(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 30, quality=95)
    assert read_grey(content).shape == PLAIN.shape


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "1"), ("PNG", "I;16"), ("GIF", "P")]
)
def test_a_photo_of_48_megapixels_is_worked_on_at_a_fraction_of_its_size(kind: str, mode: str) -> None:
    picture = seven("1" if mode == "1" else "L", page=1 if mode == "1" else 255).resize((8000, 6000))
    picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    grey = read_grey(saved(picture, kind))
    assert 1440 <= min(grey.shape) < max(grey.shape) <= 4000
    shrunk = seven().resize(grey.shape[::-1])
    assert np.abs(grey.astype(int) - np.asarray(shrunk)).mean() < 3


MEMORY = """
import resource, sys
from mnist_serving.images import read_grey
content = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_grey(content)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("size", [(8000, 6000), (20000, 2400)])
def test_a_png_of_48_megapixels_takes_little_more_memory_than_its_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "white").save(tmp_path / "large.png", compress_level=1)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "large.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300 * 1024  # kilobytes; Pillow keeps 4 bytes for each pixel: 192 MB


@pytest.mark.parametrize("size", [(20000, 2400), (2400, 20000), (50000, 700)])
def test_a_long_picture_of_many_pixels_is_worked_on_at_a_fraction_of_its_size(size: tuple[int, int]) -> None:
    grey = read_grey(saved(seven("L").resize(size), "JPEG"))
    assert 64 <= min(grey.shape) < max(grey.shape) <= max(size) // 2
    assert np.abs(grey.astype(int) - np.asarray(seven().resize(grey.shape[::-1]))).mean() < 3


def test_what_decodes_to_too_many_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="140x120 pixels: at most 1,000 pixels are taken"):
        read_grey(saved(seven()), max_pixels=1000)


def test_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ValueError, match="pip install pillow-heif"):
        read_grey(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def damaged() -> Iterator[bytes]:
    yield b""
    yield b"GIF89a"
    yield PNG_SIGNATURE
    yield saved(seven())[:60]
    yield saved(seven(), "JPEG")[:200]
    yield saved(seven(), "JPEG").replace(b"\x0b\x08", b"\x0b\x0c", 1)  # of 12 bits, which Pillow does not read


@pytest.mark.parametrize("content", list(damaged()))
def test_a_broken_picture_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"file is empty|cut short or of an unusual kind|picture is damaged"):
        read_grey(content)


def test_heic_is_read_where_its_decoder_is_installed() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    grey = read_grey(saved(seven("RGB", page=(255, 255, 255), ink=(0, 0, 0)), "HEIF", quality=90))
    assert np.abs(grey.astype(int) - PLAIN).mean() < 5


@pytest.mark.parametrize("levels", [PLAIN / 255, PLAIN / 255 - 2, PLAIN * 1000.0])
def test_fractions_of_any_range_are_brought_to_8_bits(levels: npt.NDArray[np.float64]) -> None:
    assert np.array_equal(read_grey(saved(Image.fromarray(levels.astype(np.float32)), "TIFF")), PLAIN)


def test_a_damaged_tiff_prints_nothing(tmp_path: Path) -> None:
    content = bytearray(saved(seven(), "TIFF", compression="tiff_lzw"))
    content[100:140] = b"\xff" * 40
    (tmp_path / "damaged.tif").write_bytes(content)
    command = [sys.executable, "-m", "mnist_serving", "predict", str(tmp_path / "damaged.tif")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.startswith("mnist-serving: error: ")
    assert done.stderr.count("\n") == 1


def test_a_picture_of_a_few_pixels_is_refused_with_its_size() -> None:
    with pytest.raises(ValueError, match="7x90 pixels: a picture of a digit has at least 8 on each side"):
        read_grey(saved(Image.new("L", (7, 90))))


def test_pictures_read_in_several_threads_leave_warnings_as_they_were() -> None:
    content, before = saved(seven().resize((600, 600))), [*warnings.filters]
    with ThreadPoolExecutor(4) as threads:
        assert len({grey.tobytes() for grey in threads.map(read_grey, [content] * 200)}) == 1
    assert [*warnings.filters] == before


def test_pillow_warns_nobody() -> None:
    palette = seven().convert("P")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_grey(saved(palette, transparency=bytes(range(256))))
