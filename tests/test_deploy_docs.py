"""deploy/README.md names what is there: targets, files, alerts."""

import re

from tests.conftest import ROOT
from tests.test_deploy_prometheus import RULES

PAGE = (ROOT / "deploy/README.md").read_text(encoding="utf-8")


def test_every_target_of_make_exists_that_the_page_names() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:^|`)make ([a-z]+)", PAGE, flags=re.MULTILINE))
    assert targets
    assert targets <= set(re.findall(r"^([a-z]+):.*##", makefile, flags=re.MULTILINE))


def test_every_file_and_folder_exists_that_the_page_names() -> None:
    named = re.findall(r"\b((?:deploy|tests|docs)/[\w./]*[\w/])", PAGE)
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert len(PAGE.splitlines()) < 200


def test_the_page_lists_the_alerts_of_the_rules() -> None:
    assert re.findall(r"^\| `(Mnist\w+)` \|", PAGE, flags=re.MULTILINE) == [
        rule["alert"] for rule in RULES if "alert" in rule
    ]
