"""The version stands in three places, which agree; a release changes them together."""

from __future__ import annotations

import re
import tomllib
from datetime import date

import pytest

from oq.cli import VERSION
from tests.project.test_house import HOUSE
from tools import release
from tools.release import NotReady

REPO = HOUSE.parent
CHANGELOG = (REPO / "CHANGELOG.md").read_text()
DAY = date(2030, 1, 31)
LOG = """# Changelog

## [Unreleased]

### Added
- A thing.

## [0.2.0] - 2029-12-01

### Fixed
- Another.
"""


def test_the_command_says_the_version_of_the_package():
    assert tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_the_changelog_has_the_version_unless_none_was_released_yet():
    versions = release.released(CHANGELOG)
    assert versions[:1] in ([], [VERSION])
    assert versions == sorted(versions, key=release._numbers, reverse=True)


def test_the_changelog_begins_with_what_is_unreleased():
    assert re.findall(r"^## .*", CHANGELOG, re.M)[0] == "## [Unreleased]"


def test_what_was_unreleased_gets_the_version_and_the_day():
    assert release.changelog_with(LOG, "0.3.0", DAY) == LOG.replace(
        "## [Unreleased]\n", "## [Unreleased]\n\n## [0.3.0] - 2030-01-31\n"
    )


def test_nothing_is_released_twice():
    once = release.changelog_with(LOG, "0.3.0", DAY)
    assert release.released(once) == ["0.3.0", "0.2.0"]
    with pytest.raises(NotReady, match="names no change"):
        release.changelog_with(once, "0.4.0", DAY)


def test_a_changelog_without_the_section_is_refused():
    with pytest.raises(NotReady, match="no line"):
        release.changelog_with("# Changelog\n", "0.3.0", DAY)


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "1.2.3\n"])
def test_what_is_no_version_is_refused(version):
    with pytest.raises(NotReady, match="is no version"):
        release.check_version(version, LOG)


@pytest.mark.parametrize("version", ["0.2.0", "0.1.9", "0.1.10"])
def test_a_version_that_is_not_higher_is_refused(version):
    with pytest.raises(NotReady, match=r"not higher than 0\.2\.0"):
        release.check_version(version, LOG)


@pytest.mark.parametrize("version", ["0.2.1", "0.10.0", "1.0.0"])
def test_a_higher_version_is_taken(version):
    release.check_version(version, LOG)


def test_the_three_files_change_together_and_in_one_line_each():
    files = release.rewritten("999.0.0", DAY)
    assert {path.name for path in files} == {"CHANGELOG.md", "pyproject.toml", "__init__.py"}
    for path, text in files.items():
        old, new = path.read_text().splitlines(), text.splitlines()
        assert len(set(new) - set(old)) == 1, path


def test_a_file_with_two_such_lines_is_not_guessed_at():
    with pytest.raises(NotReady, match="there are 2 lines"):
        release.with_version('version = "1"\nversion = "2"\n', "version", "3")


def test_what_an_archive_lacks_is_found_with_and_without_a_folder_around_it():
    wanted = ["oq/cli/app.py", "oq/http/static/index.html"]
    assert release.missing(["oq-1/oq/cli/app.py"], wanted) == ["oq/http/static/index.html"]
    assert release.missing(wanted, wanted) == []


def test_a_work_tree_with_changes_is_refused(monkeypatch):
    monkeypatch.setattr(release, "_run", lambda *command: " M oq/cli/app.py")
    with pytest.raises(NotReady, match=r"commit them first:\n M oq/cli/app\.py"):
        release.main("999.0.0")
