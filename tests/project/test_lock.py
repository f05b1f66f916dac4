"""What development and CI run with is locked; the lock has all that pyproject.toml declares.

`make lock` mends what fails here.
"""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.project.test_house import HOUSE

REPO = HOUSE.parent
DECLARED = tomllib.loads((REPO / "pyproject.toml").read_text())
LOCKS = {
    "dev": [*DECLARED["project"]["dependencies"], *DECLARED["dependency-groups"]["dev"]],
    "demo": DECLARED["dependency-groups"]["demo"],
}
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; .*)? \\\n((?: .*\n?)*)", re.M)


def pinned(name: str) -> dict[str, list[tuple[Version, str]]]:
    """Each package's versions (one, or one for each range of Pythons), with the lines below it."""
    found: dict[str, list[tuple[Version, str]]] = {}
    for package, version, below in PINNED.findall(
        (REPO / "requirements" / f"{name}.txt").read_text()
    ):
        found.setdefault(package, []).append((Version(version), below))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_each_declared_package_is_locked_within_its_bounds(name):
    locked = pinned(name)
    for declared in map(Requirement, LOCKS[name]):
        versions = [version for version, _ in locked.get(canonicalize_name(declared.name), [])]
        assert versions, f"{declared} is not locked: make lock"
        assert all(version in declared.specifier for version in versions), f"{declared}: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_nothing_is_locked_that_nobody_declares(name):
    """The lines below a package say for whom it is there."""
    declared = {canonicalize_name(Requirement(line).name) for line in LOCKS[name]}
    for package, versions in pinned(name).items():
        if any("oq (pyproject.toml" in below for _, below in versions):
            assert package in declared, f"{package} is not declared any more: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_each_locked_file_has_its_hash(name):
    assert pinned(name)
    assert all("--hash=sha256:" in below for found in pinned(name).values() for _, below in found)


def test_the_demo_that_users_install_is_the_one_that_is_locked():
    users = DECLARED["project"]["optional-dependencies"]["demo"]
    assert set(users) <= set(DECLARED["dependency-groups"]["demo"])
