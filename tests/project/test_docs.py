"""The documents: what they link to in this repository is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project.test_house import HOUSE

REPO = HOUSE.parent
DOCUMENTS = [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), REPO / "web" / "README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_what_a_document_links_to_is_there(document: Path):
    links = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    missing = [link for link in links if not (document.parent / link.partition("#")[0]).exists()]
    assert missing == []


def test_there_are_pictures_of_each_view_light_dark_and_narrow():
    shown = LINK.findall((REPO / "docs" / "dashboard.md").read_text())
    pictures = {path.name for path in (REPO / "docs" / "screenshots").glob("*.png")}
    assert {Path(link).name for link in shown if link.endswith(".png")} == pictures
    for view in ("overview", "tasks", "task", "submit"):
        assert {f"{view}-{look}.png" for look in ("light", "dark", "narrow")} <= pictures
