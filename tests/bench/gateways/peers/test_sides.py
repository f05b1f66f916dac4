"""The other gateways: what each needs is named in an exact version, and is got or told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.gateways.peers import sides
from bench.gateways.peers.sides import HERE, LITELLM, NODE, PEERS, ROUTERS
from bench.peers import install


def test_versions_are_exact_so_that_a_newer_one_changes_the_file():
    for file in (LITELLM, ROUTERS):
        lines = sides._lines(HERE / file)
        assert lines
        assert all(re.fullmatch(r"[a-z-]+(\[[a-z]+\])? [\d.]+", line) for line in lines)
    wanted = json.loads((HERE / NODE).read_text())["dependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in wanted.values())


def test_those_that_were_named_stand_between_oq_and_nobody():
    names = [side.name for side in sides.chosen(["portkey", " nginx"])]
    assert names == ["oq", "oq-chat", "nginx", "portkey", "direct"]
    assert len(sides.chosen([])) == len(PEERS) + 3
    assert [side.name for side in sides.chosen([]) if side.ours] == ["oq", "oq-chat"]


@pytest.fixture
def packages(monkeypatch):
    """What is asked to be installed is only noted; the routers cannot be had."""
    asked = []

    def python(file: Path):
        asked.append(file.name)
        return "no such wheel" if file.name == ROUTERS else None

    monkeypatch.setattr(install, "there", lambda program: False)
    monkeypatch.setattr(install, "programs", lambda missing: {"node": f"not root: {missing}"})
    monkeypatch.setattr(install, "python_packages", python)
    monkeypatch.setattr(install, "node_packages", lambda folder: asked.append("node packages"))
    return asked


def test_what_cannot_be_had_is_told(packages):
    assert sides.got(PEERS) == {"node": "not root: ['nginx', 'node']", ROUTERS: "no such wheel"}
    assert packages == [ROUTERS, LITELLM], "no packages of Node without Node"


def test_what_nobody_needs_is_not_got(packages, monkeypatch):
    monkeypatch.setattr(install, "programs", lambda missing: dict.fromkeys(missing, "none"))
    assert sides.got([*sides.OURS, sides.NOBODY]) == {}
    assert packages == []


def test_what_is_started_listens_on_loopback_only(monkeypatch, tmp_path):
    commands = {}

    def note(command, port, place, environ=None):
        commands[side.name] = " ".join(command)
        raise RuntimeError("it is only noted")

    monkeypatch.setattr(sides, "_program", note)
    for side in PEERS:
        with (
            pytest.raises(RuntimeError, match="only noted"),
            side.start(tmp_path, "http://127.0.0.1:1"),
        ):
            pass
    for name in ("vllm", "sglang", "litellm"):
        assert "--host 127.0.0.1" in commands[name]
    assert "listen 127.0.0.1:" in (tmp_path / "nginx.conf").read_text()
    assert "portkey.cjs" in commands["portkey"]
    assert 'host: "127.0.0.1"' in (HERE / "portkey.cjs").read_text()
    headers = next(side for side in PEERS if side.name == "portkey").headers("http://127.0.0.1:1")
    assert headers["x-portkey-custom-host"] == "http://127.0.0.1:1/v1"
