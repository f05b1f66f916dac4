"""Two commits are measured in turns, each by its own code, and the row that is worse is named."""

import subprocess

import pytest

from bench import against
from bench.against import Comparison, Row

SCENARIO = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def bulk(setting):
    async def side():
        print("this is no answer")
        return {{"bulk": {rate} * setting.scale, "next_p50": {time}}}
    yield [side]

SCENARIOS = {{"bulk": bulk}}
"""
SETTING = """
from dataclasses import dataclass

@dataclass
class Setting:
    rounds: int
    scale: float
    {more}
"""
PLACE = "oq: object = None"


SEEN_FROM_OUTSIDE = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def calls(setting):
    async def side():
        return {"call_16": float((setting.oq / "oq" / "speed").read_text())}
    yield [side]

SCENARIOS = {"gateway-calls": calls}
"""


def git(where, *words):
    author = ["-c", "user.name=one", "-c", "user.email=one@example.org"]
    subprocess.run(["git", "-C", str(where), *author, *words], check=True, capture_output=True)


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository whose commit `before` and whose files have scenarios of a given speed."""

    def make(before, now):
        root = tmp_path / "repo"
        for package in ("bench", "oq"):
            (root / package).mkdir(parents=True)
            (root / package / "__init__.py").touch()
        (root / "bench" / "scenario.py").write_text(SETTING.format(more=""))
        (root / "bench" / "__main__.py").write_text(SCENARIO.format(**before))
        git(tmp_path, "init", "-q", str(root))
        git(root, "add", "-A")
        git(root, "commit", "-qm", "one")
        git(root, "tag", "before")
        (root / "bench" / "__main__.py").write_text(SCENARIO.format(**now))
        monkeypatch.setattr(against, "ROOT", root)
        return root

    return make


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["against", *arguments])
    return against.main()


USUAL = ["before", "--only", "bulk", "--rounds", "2", "--scale", "0.5"]


def test_what_became_slower_fails_and_is_named(repo, monkeypatch, capsys):
    repo(before={"rate": 1000, "time": 0.1}, now={"rate": 500, "time": 0.05})
    assert run(monkeypatch, *USUAL) == 1
    shown = capsys.readouterr().out.splitlines()
    bulk, slot = shown[4:6]
    assert bulk.endswith("| tasks/s | 250 | 500 | 0.50 | 0.50 to 0.50 | 0.50 | **worse** |")
    assert slot.endswith("| ms | 0.05 | 0.1 | 2.00 | 2.00 to 2.00 | 2.00 |  |")
    assert shown[0].startswith("bench/ of before is another")


def test_what_is_as_it_was_passes(repo, monkeypatch, capsys):
    same = {"rate": 1000, "time": 0.1}
    repo(before=same, now=same)
    assert run(monkeypatch, *USUAL) == 0
    assert "worse" not in capsys.readouterr().out


def test_what_cannot_be_measured_fails_with_its_reason(repo, monkeypatch, capsys):
    repo(before={"rate": "1 / 0", "time": 1}, now={"rate": 1, "time": 1})
    assert run(monkeypatch, *USUAL) == 1
    assert "not measured: bulk, before: ZeroDivisionError" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere", "--only", "bulk"], "git has no 'nowhere' with oq and bench: "),
        (["before", "--only", "nope"], "no scenario nope; there are bulk, "),
        (["before", "--rounds", "0"], "--rounds and --scale must be more than 0"),
    ],
)
def test_wrong_use_is_an_error_of_one_line(repo, monkeypatch, capsys, arguments, problem):
    repo(before={"rate": 1, "time": 1}, now={"rate": 1, "time": 1})
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ours", "worse"),
    [
        ([0.8, 0.85, 0.8, 0.82, 0.81], True),
        ([0.95, 0.93, 0.94, 0.92, 0.96], False),  # within ten percent
        ([0.5, 0.6, 0.8, 1.4, 1.5], False),  # the machine's mood
        ([0.8, 0.8, 0.82, 0.99, 0.99], False),  # it can be as fast, when it is let
        ([1.2, 1.3, 1.1, 1.2, 1.2], False),
    ],
)
def test_a_row_is_worse_by_more_than_the_percentage_and_most_of_the_time(ours, worse):
    def row(name):
        found = Row(name)
        for each in ours:
            found.add(each, 1.0)
        return found

    assert row("bulk").worse(10) is worse
    assert not row("post_bare").worse(10)


def test_figures_that_only_one_side_has_are_left_out():
    found = Comparison()
    found.add({"bulk": 2.0, "new": 1.0, "post": 1.0}, {"bulk": 1.0, "old": 1.0})
    assert [(row.name, row.median) for row in found.compared()] == [("bulk", 2.0)]


def test_what_is_seen_from_outside_is_measured_of_both_by_the_benchmark_that_is_here(
    repo, monkeypatch, capsys
):
    root = repo(before={"rate": 1, "time": 1}, now={"rate": 1, "time": 1})
    for speed in (2000, 500):
        (root / "oq" / "speed").write_text(str(speed))
        if speed == 2000:
            git(root, "add", "oq")
            git(root, "commit", "-qm", "with a speed")
            git(root, "tag", "-f", "before")
    (root / "bench" / "scenario.py").write_text(SETTING.format(more=PLACE))
    (root / "bench" / "__main__.py").write_text(SEEN_FROM_OUTSIDE)
    assert run(monkeypatch, "before", "--only", "gateway-calls", "--rounds", "2") == 1
    assert "| requests/s | 500 | 2,000 | 0.25 |" in capsys.readouterr().out
