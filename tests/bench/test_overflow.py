"""The experiment with a box and a cloud: what it measures, and that it finds a broken rule."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest

from bench.overflow import AFTER, main
from bench.traces import made_up
from oq.rules.overflow import Overflow
from tests.bench.traffic import trace


@pytest.fixture
def traffic(tmp_path: Path) -> Path:
    """Half an hour in which two and a half slots are needed all the time."""
    return trace(tmp_path / "traffic.csv", (1.2 * n for n in range(1500)))


def rows(said: str) -> dict[str, list[str]]:
    """The table, by the first column, without its head."""
    lines = said.split("\n\n")[1].splitlines()[1:]
    return {cells[0]: cells for cells in ([*filter(None, row.split("  "))] for row in lines)}


def test_a_shorter_patience_means_shorter_waits_and_more_in_the_cloud(traffic, tmp_path, capsys):
    chart = tmp_path / "overflow.svg"
    assert main([str(traffic), "--slots", "2", "--chart", str(chart)]) == 0
    said = capsys.readouterr().out
    assert "as it has to be" in said
    assert "1,500 requests of traffic, of 29m59s" in said
    assert "A box with 2 slots, of which 2.5 would be needed; a cloud with 8" in said
    found = rows(said)
    assert [*found] == ["the box alone", "5m", "2m", "1m", "30s", "10s", "0s: at once"]
    assert len(found) == 1 + len(AFTER)
    assert found["the box alone"][5].strip().startswith("0 (0.0%)")
    in_the_cloud = [int(cells[5].split()[0]) for cells in found.values()]
    assert in_the_cloud == sorted(in_the_cloud)
    assert in_the_cloud[-1] > 300, "a fifth is too much for the box"
    assert all(f">{name}</text>" in chart.read_text() for name in found)


def test_it_fails_if_nothing_goes_up(traffic, capsys, monkeypatch):
    monkeypatch.setattr(Overflow, "next", lambda *_: None)
    assert main([str(traffic), "--slots", "2"]) == 1
    said = capsys.readouterr().out
    assert "FAILED: 30s: the p99 of the waits is" in said
    assert "FAILED: nothing went to the cloud" in said


def test_it_fails_if_a_shorter_patience_sends_less(traffic, capsys, monkeypatch):
    stay = Overflow._stay
    turned = {30.0: 300.0, 300.0: 30.0}

    def wrong(self, backend, *more):
        backend.overflow_after = turned.get(backend.overflow_after, backend.overflow_after)
        return stay(self, backend, *more)

    monkeypatch.setattr(Overflow, "_stay", wrong)
    assert main([str(traffic), "--slots", "2"]) == 1
    assert "FAILED: 2m: fewer tasks in the cloud than with 5m" in capsys.readouterr().out


def test_traffic_that_is_made_up_is_the_same_each_time_and_as_it_says():
    requests = made_up(7)
    assert requests == made_up(7) != made_up(8)
    assert 1100 < mean(one.prompt_tokens for one in requests) < 1200
    assert 200 < mean(one.tokens for one in requests) < 220
    seconds = [(one.at - requests[0].at).total_seconds() for one in requests]
    assert seconds == sorted(seconds)
    assert seconds[-1] < 3600
    busy = sum(second % 900 >= 450 for second in seconds)
    assert 0.58 < busy / len(requests) < 0.68


def test_without_a_trace_it_makes_traffic_up(monkeypatch, capsys):
    monkeypatch.delenv("OQ_TRACES", raising=False)
    monkeypatch.setattr("bench.overflow.made_up", lambda seed: made_up(seed, seconds=120))
    main(["--seed", "5"])
    assert "made up with the seed 5" in capsys.readouterr().out


def test_what_is_no_trace_is_refused(tmp_path, capsys):
    assert main([str(tmp_path / "none.csv")]) == 2
    assert "No such file" in capsys.readouterr().out
    assert main([str(trace(tmp_path / "empty.csv", []))]) == 2
    assert "empty.csv has no requests" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        (("--slots", "0"), "'0' is not a whole number from 1 to 1,000,000"),
        (("--cloud-slots", "many"), "'many' is not a whole number"),
        (("--cloud-rate", "nan"), "'nan' is not a number from 1 to 1,000,000"),
        (("--rate", "fast"), "'fast' is not a number"),
    ],
)
def test_wrong_options_are_refused(option, wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(list(option))
    assert wrong in capsys.readouterr().err
