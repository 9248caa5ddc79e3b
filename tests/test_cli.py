"""The command `mnist-serving`: one line a file, whatever the files are."""

import json
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import Classifier
from mnist_serving.cli import main
from PIL import Image, ImageDraw

from tests.other_models import write_colour_model

DIGITS = Classifier().contract.golden.images[:, 0]
ONE, ZERO = DIGITS[0], DIGITS[2]


def run(*arguments: str | Path) -> int:
    """Run the command; return its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def enlarged(digit: np.ndarray, *, paper: int = 255, ink: int = 0) -> Image.Image:
    """Return a digit as a scan shows it: dark on light, 200 by 200."""
    large = Image.fromarray(digit).resize((160, 160), Image.Resampling.BICUBIC)
    page = Image.new("L", (200, 200), paper)
    page.paste(Image.new("L", large.size, ink), (20, 20), mask=large)
    return page


def bomb() -> bytes:
    """A PNG of 30,000 by 30,000 pixels in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def test_each_picture_gets_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    enlarged(ZERO).convert("RGB").save(tmp_path / "zero.jpg")
    enlarged(ONE, paper=20, ink=230).save(tmp_path / "one.png")
    assert run("predict", *(tmp_path / name for name in ("zero.png", "zero.jpg", "one.png"))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"not sure \(.*\), perhaps ", "", line.split(": ")[1])[0] for line in lines] == ["0", "0", "1"]


def test_json_is_one_line_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    assert run("predict", "--json", tmp_path / "zero.png", tmp_path / "zero.png") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == second
    assert first["file"] == str(tmp_path / "zero.png")
    assert first["label"] == "0"
    assert 0 < first["probability"] <= 1
    assert 0 < first["digit"] <= 1
    assert isinstance(first["abstained"], bool)
    assert ("reason" in first) == first["abstained"]


def test_files_that_cannot_be_read_are_named_and_the_others_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = tmp_path / "good.png"
    enlarged(ZERO).save(good)
    files = {
        "empty.png": b"",
        "text.png": b"seven",
        "bomb.png": bomb(),
        "half.png": good.read_bytes()[:200],
        "picture.gif": b"GIF89a" + bytes(20),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    Image.new("L", (100, 100), 255).save(tmp_path / "blank.png")
    (tmp_path / "folder").mkdir()
    names = ["missing.png", *files, "blank.png", "folder"]
    assert run("predict", *(tmp_path / name for name in names), good, "") == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{good}: ")
    *lines, nameless = said.err.splitlines()
    assert len(lines) == len(names)
    assert "No such file" in nameless
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"mnist-serving: error: {tmp_path / name}: ")
    assert "No such file" in lines[0]
    assert "at most 65,000,000 pixels" in lines[3]
    assert "the folder holds no pictures" in lines[-1]


def test_a_folder_stands_for_the_pictures_in_it_and_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "more").mkdir()
    enlarged(ONE).save(tmp_path / "more/b.PNG")
    enlarged(ZERO).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no picture")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")  # nobody writes into it
    assert run("predict", "--json", tmp_path) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(answer["file"], answer["label"]) for answer in answers] == [
        (str(tmp_path / "a.png"), "0"),
        (str(tmp_path / "more/b.PNG"), "1"),
    ]


def test_a_name_that_is_too_long_is_an_error_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, last = tmp_path / "zero.png", tmp_path / "one.png"
    enlarged(ZERO).save(first)
    enlarged(ONE).save(last)
    assert run("predict", "--json", first, "a" * 300, last) == 1
    said = capsys.readouterr()
    assert [json.loads(line).get("label") for line in said.out.splitlines()] == ["0", None, "1"]
    assert said.err == f"mnist-serving: error: {'a' * 300}: File name too long\n"


def test_a_folder_that_cannot_be_listed_is_named_and_the_others_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    monkeypatch.chdir(tmp_path)
    for _ in range(17):  # until the path has more than 4,096 bytes, which root may not list either
        os.mkdir("a" * 250)  # noqa: PTH102 (as above)
        os.chdir("a" * 250)
    assert run("predict", tmp_path) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path}/zero.png: 0")
    assert re.fullmatch(rf"mnist-serving: error: {tmp_path}(/a+)+: File name too long\n", said.err)


def test_an_interrupt_ends_it_silently(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mnist_serving.cli.predict_file", interrupted)
    assert run("predict", "any.png") == 130
    assert capsys.readouterr() == ("", "")


def number_page(digits: list[np.ndarray], *, apart: int = 60) -> Image.Image:
    """Return digits in a row, dark on light, each beginning so many pixels after the one before it."""
    page = Image.new("L", (apart * (len(digits) - 1) + 160, 200), 255)
    for place, digit in enumerate(digits):
        large = Image.fromarray(digit).resize((112, 112), Image.Resampling.BICUBIC)
        page.paste(0, (24 + place * apart, 44), mask=large)
    return page


def test_the_digits_of_a_number_are_read_with_their_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number_page([ONE, ZERO, ONE], apart=100).save(tmp_path / "101.png")
    assert run("predict", "--number", "--json", tmp_path / "101.png") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["number"], answer["abstained"]) == ("101", False)
    assert [digit["label"] for digit in answer["digits"]] == ["1", "0", "1"]
    boxes = [digit["box"] for digit in answer["digits"]]
    assert boxes == sorted(boxes)
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert 24 + place * 100 <= left < right <= 24 + place * 100 + 112
        assert 44 <= top < bottom <= 156


def test_a_number_with_a_figure_that_is_not_a_digit_is_not_sure_and_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = number_page([ONE, ZERO], apart=180)
    ImageDraw.Draw(page).line([(120, 60), (160, 140), (140, 100), (160, 60), (120, 140)], fill=0, width=10)
    page.save(tmp_path / "1x0.png")
    assert run("predict", "--number", tmp_path / "1x0.png") == 0
    assert ": not sure (figure 2 of 3: " in capsys.readouterr().out


def test_a_device_without_an_end_is_not_read_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mnist_serving.cli.LARGEST_PICTURE", 1000)
    assert run("predict", "/dev/zero") == 1
    assert capsys.readouterr().err == "mnist-serving: error: /dev/zero: larger than 1,000 bytes\n"


def test_animated_and_transparent_pictures_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zero, one = enlarged(ZERO), enlarged(ONE)
    zero.save(tmp_path / "animated.png", save_all=True, append_images=[one])
    glass = Image.new("RGBA", zero.size, (0, 0, 0, 0))
    glass.paste((0, 0, 0, 255), mask=Image.fromarray(255 - np.asarray(zero)))
    glass.save(tmp_path / "transparent.png")
    assert run("predict", "--json", tmp_path / "animated.png", tmp_path / "transparent.png") == 0
    assert [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()] == ["0", "0"]


def test_info_shows_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info") == 0
    text = capsys.readouterr().out
    assert "accuracy" in text
    assert "examples   5, answered correctly" in text
    assert run("info", "--json") == 0
    info = json.loads(capsys.readouterr().out)
    assert info["labels"] == [*"0123456789"]
    assert info["sha256"] == Classifier().checksum
    assert info["preprocessing"]["size"] == [28, 28]


@pytest.mark.parametrize("command", ["predict", "info"])
def test_a_file_that_is_not_a_model_is_one_line(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"junk")
    files = [tmp_path / "a.png"] if command == "predict" else []
    assert run(command, "--model", tmp_path / "model.onnx", *files) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "is not a model that onnxruntime" in said


def test_missing_packages_of_the_server_are_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in {"PIL", "orjson"} else name)
    assert run("serve") == 1
    wanted = "mnist-serving: error: the server needs orjson, PIL: pip install orjson pillow\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize(
    ("arguments", "command"),
    [([], ""), (["predict"], " predict"), (["guess"], ""), (["info", "--nothing"], " info")],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    wanted = rf"mnist-serving{command}: error: .*; `mnist-serving{command} --help` lists .*\n"
    assert re.fullmatch(wanted, capsys.readouterr().err)


@pytest.mark.parametrize("command", ["predict", "info", "parity", "serve"])
def test_help_gives_only_defaults_that_say_something(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert not re.search(r"default: (None|False|\(\)|[;)])|/model\.onnx", said)
    assert command != "serve" or "(default: 8000; MNIST_SERVING_PORT)" in said


def test_explain_writes_a_sheet_for_each_picture_read_or_refused(tmp_path: Path) -> None:
    enlarged(ZERO).save(tmp_path / "zero.png")
    Image.new("L", (100, 100), 255).save(tmp_path / "blank.png")
    (tmp_path / "text.png").write_bytes(b"seven")
    folder = tmp_path / "why"
    assert (
        run("predict", "--explain", folder, *(tmp_path / name for name in ("zero.png", "blank.png", "text.png"))) == 1
    )
    assert sorted(path.name for path in folder.iterdir()) == ["blank.png.png", "zero.png.png"]
    with Image.open(folder / "zero.png.png") as read, Image.open(folder / "blank.png.png") as refused:
        assert read.width > refused.width


def test_explain_writes_a_sheet_for_each_of_several_files_of_one_name(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a/1.png", "b/1.png", "c/1.PNG", "c/1.png-2")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        enlarged(ZERO).save(file, format="PNG")
    assert run("predict", "--explain", tmp_path / "why", *files) == 0
    names = sorted(path.name for path in (tmp_path / "why").iterdir())
    assert names == ["1.PNG-3.png", "1.png-2-2.png", "1.png-2.png", "1.png.png"]


def test_explain_is_refused_where_it_would_show_what_was_not_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enlarged(ONE).save(tmp_path / "one.png")
    model = write_colour_model(tmp_path / "colours.onnx")
    for other, code, said in (
        (("--number",), 2, "--number: not allowed with argument --explain"),
        (("--model", model), 1, "--explain shows how a centred digit is read: leave it out"),
    ):
        assert run("predict", "--explain", tmp_path / "why", *other, tmp_path / "one.png") == code
        assert said in capsys.readouterr().err
    assert not (tmp_path / "why").exists()


def test_explain_of_a_strip_that_is_refused_writes_nothing(tmp_path: Path) -> None:
    Image.new("L", (20_000, 8), 255).save(tmp_path / "strip.png")
    assert run("predict", "--explain", tmp_path / "why", tmp_path / "strip.png") == 1
    assert not (tmp_path / "why").exists()


def test_explain_shortens_names_that_a_sheet_could_not_have(tmp_path: Path) -> None:
    enlarged(ZERO).save(tmp_path / f"{'ß' * 125}.png")
    assert run("predict", "--explain", tmp_path / "why", tmp_path / f"{'ß' * 125}.png") == 0
    assert [path.name for path in (tmp_path / "why").iterdir()] == [f"{'ß' * 120}.png"]
