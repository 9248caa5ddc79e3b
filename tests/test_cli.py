"""The command `mnist-serving`: one line a file, whatever the files are."""

import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from mnist_serving import Classifier
from mnist_serving.cli import main
from PIL import Image

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
    names = ["missing.png", *files, "blank.png", "."]
    assert run("predict", *(tmp_path / name for name in names), good) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{good}: ")
    lines = said.err.splitlines()
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"mnist-serving: error: {tmp_path / name}: ")
    assert "No such file" in lines[0]
    assert "900000000 pixels" in lines[3] or "30000x30000" in lines[3]


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


@pytest.mark.parametrize("arguments", [[], ["predict"], ["guess"], ["info", "--nothing"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert "usage: mnist-serving" in capsys.readouterr().err


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
