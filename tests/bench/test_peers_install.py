"""Getting the peers: what is there is used, what changed is renewed, what is missing is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from bench.peers import install
from bench.peers.sides import ENVIRONMENTS, NODE


def test_services_stay_off_only_while_it_installs(monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install, "POLICY", policy)
    with install.services_stay_off():
        assert subprocess.run([str(policy)], check=False).returncode == 101
    assert not policy.exists()


def test_a_machines_own_policy_is_left_alone(monkeypatch, tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("its own")
    monkeypatch.setattr(install, "POLICY", policy)
    with install.services_stay_off():
        assert policy.read_text() == "its own"
    assert policy.read_text() == "its own"


def test_who_is_not_root_is_told_what_is_missing(monkeypatch):
    monkeypatch.setattr(install, "there", lambda program: False)
    monkeypatch.setattr(install.os, "geteuid", lambda: 1000)
    problems = install.install({"redis-server", "postgres"})
    assert set(problems) == {"redis-server", "postgres"}
    assert "apt-get install redis-server postgresql" in problems["postgres"]


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Packages are to be installed below a directory; what is run for that is only noted."""
    (tmp_path / "requirements.txt").write_text("rq==1\n")
    (tmp_path / "package.json").write_text("{}")
    for name in ("REQUIREMENTS", "SCRIPTS", "ROOT"):
        monkeypatch.setattr(install, name, tmp_path)
    monkeypatch.setattr(install, "PLACE", tmp_path / "environments")
    monkeypatch.setattr(install, "there", lambda program: True)
    ran: list[str] = []

    def run(command: list[str]) -> str | None:
        ran.append(command[0])
        (tmp_path / "environments" / "requirements").mkdir(parents=True, exist_ok=True)
        (tmp_path / "node_modules").mkdir(exist_ok=True)
        return "out of order" if (tmp_path / "broken").exists() else None

    monkeypatch.setattr(install, "_failure", run)
    return ran


@pytest.mark.parametrize("file", ["requirements.txt", "package.json"])
def test_packages_are_installed_again_when_their_file_has_changed(packages, tmp_path, file):
    assert install.install({file, "node"}) == {}
    first = len(packages)
    assert first
    assert install.install({file, "node"}) == {}
    assert len(packages) == first
    (tmp_path / file).write_text("{ }\n")
    assert install.install({file, "node"}) == {}
    assert len(packages) == 2 * first


def test_packages_that_could_not_be_installed_are_tried_again(packages, tmp_path):
    (tmp_path / "broken").touch()
    assert install.install({"requirements.txt"}) == {"requirements.txt": "out of order"}
    (tmp_path / "broken").unlink()
    assert install.install({"requirements.txt"}) == {}


def test_what_went_wrong_is_told_not_what_was_said_last():
    said = "notice\nnpm error code E404\nnpm error 404 no such package\nnpm error a log is in /x"
    failed = install._failure([sys.executable, "-c", f"import sys; sys.exit({said!r})"])
    assert failed is not None
    assert failed.endswith("-c failed: npm error code E404; npm error 404 no such package")


def test_versions_are_exact_so_that_a_newer_one_changes_the_file():
    for file in ENVIRONMENTS:
        lines = (install.REQUIREMENTS / file).read_text().splitlines()
        named = [line.partition("#")[0].strip() for line in lines]
        assert all(re.fullmatch(r"[a-z-]+(\[[a-z,]+\])?==[\d.]+", line) for line in named if line)
    wanted = json.loads((install.SCRIPTS / NODE).read_text())["dependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in wanted.values())
