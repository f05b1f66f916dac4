"""The documents: what they link to is there, and the settings that they show are settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from bench.batch import RECOMMENDED
from bench.overflow import SETTINGS
from oq.plan.orders import parse_order
from oq.words.config import to_config
from tests.project.test_house import HOUSE

REPO = HOUSE.parent
DOCUMENTS = [*REPO.glob("*.md"), *(REPO / "docs").rglob("*.md"), REPO / "web" / "README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_what_a_document_links_to_is_there(document: Path):
    links = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    missing = [link for link in links if not (document.parent / link.partition("#")[0]).exists()]
    assert missing == []


@pytest.mark.parametrize("document", ["scheduling.md"])
def test_settings_in_a_document_are_settings(document: str):
    shown = YAML.findall((REPO / "docs" / document).read_text())
    assert len(shown) >= 2
    for text in shown:
        config = to_config(yaml.safe_load(text))
        assert config != to_config({}), text


def test_the_settings_for_a_batch_are_those_that_are_measured():
    order = parse_order(RECOMMENDED)
    shown = YAML.findall((REPO / "docs" / "scheduling.md").read_text())
    assert order.settings in [to_config(yaml.safe_load(text)).scheduler for text in shown]


def test_the_settings_with_a_cloud_are_those_that_are_measured():
    shown = YAML.findall((REPO / "docs" / "scheduling.md").read_text())
    assert to_config(dict(SETTINGS)) in [to_config(yaml.safe_load(text)) for text in shown]


def test_there_are_pictures_of_each_view_light_dark_and_narrow():
    shown = LINK.findall((REPO / "docs" / "dashboard.md").read_text())
    pictures = {path.name for path in (REPO / "docs" / "screenshots").glob("*.png")}
    assert {Path(link).name for link in shown if link.endswith(".png")} == pictures
    for view in ("overview", "tasks", "task", "submit"):
        assert {f"{view}-{look}.png" for look in ("light", "dark", "narrow")} <= pictures
