"""The `curl` lines of docs/service.md and its program, sent to a started server."""

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mnist_serving import Classifier

from tests.conftest import ROOT
from tests.http_server import Server

PAGE = (ROOT / "docs/service.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"^```python\n(import json.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
(MAKING,) = re.findall(r"^```bash\n(python examples/pictures.py.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
LINES = [line for line in PAGE.replace(" \\\n ", "").splitlines() if line.startswith("curl ")]
SEVEN = Classifier().contract.golden.images[1, 0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the lines send, made as the page says: a seven, as a picture, as bytes and as JSON."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=lambda *_: {"web", "node"})
    description = tmp_path / "serving/mnist_serving/model.json"
    description.parent.mkdir(parents=True)
    shutil.copy(ROOT / "serving/mnist_serving/model.json", description)
    subprocess.run(["bash", "-euc", MAKING], cwd=tmp_path, check=True)
    assert (tmp_path / "build/pictures/digit.gray").read_bytes() == SEVEN.tobytes()
    return tmp_path / "build/pictures"


def test_the_page_shows_all_four_ways() -> None:
    assert len(LINES) == 4


@pytest.mark.parametrize("line", LINES)
def test_a_curl_line_of_the_page_is_answered(server: Server, folder: Path, line: str) -> None:
    command = shlex.split(line.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"))
    done = subprocess.run([*command, "-sS", "--fail"], cwd=folder, capture_output=True, check=True)
    if "/predict" in line:
        assert json.loads(done.stdout)["predictions"][0]["label"] == "7"
    elif "/infer" in line:
        reply = (folder / "reply").read_bytes()
        assert re.search(rb'"name":\s*"logits"', reply)
    else:
        assert json.loads(done.stdout) == {"live": True, "ready": True}


def test_the_program_with_requests_gets_the_same_answers(server: Server, folder: Path) -> None:
    program = PROGRAM.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    of_file, of_pixels, ready, inferred = map(ast.literal_eval, done.stdout.splitlines())
    assert [reply["predictions"][0]["label"] for reply in (of_file, of_pixels)] == ["7", "7"]
    assert ready == {"live": True, "ready": True}
    assert b'"logits"' in inferred


def test_the_answer_has_the_keys_that_the_page_shows(server: Server) -> None:
    body = json.dumps({"image": SEVEN.ravel().tolist()}).encode()
    (prediction,) = server.call("POST", "/predict", body, Content_Type="application/json").json()["predictions"]
    assert list(prediction) == re.findall(r'"(\w+)":', PAGE[PAGE.index('{"predictions": [{') + 18 :].splitlines()[0])


def test_every_call_and_flag_that_the_page_names_exists(server: Server) -> None:
    for path in re.findall(r"`GET (/[\w.]*)`", PAGE):
        assert server.call("GET", path).status == 200, path
    command = ["mnist-serving", "serve", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for flag in set(re.findall(r"`(?:mnist-serving serve )?(--[a-z-]+)", PAGE)) - {"--help"}:
        assert flag in shown
