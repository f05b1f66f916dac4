"""The experiment with two models on two servers, and that it finds when affinity does nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.boxes import main
from oq.rules.affinity import Affinity
from oq.rules.fifo import Fifo
from oq.rules.policies import POLICIES
from tests.bench.traffic import trace


@pytest.fixture
def traces(tmp_path: Path) -> list[str]:
    """One model is wanted four at a time, the other all the time; a server has two slots."""
    bursts = sorted(8.0 * (n // 4) for n in range(300))
    return [
        str(trace(tmp_path / "one.csv", bursts)),
        str(trace(tmp_path / "two.csv", (2.0 * n + 1 for n in range(300)))),
    ]


def test_affinity_gives_each_model_a_server_and_the_table_says_so(traces, tmp_path, capsys):
    chart = tmp_path / "waits.svg"
    assert main([*traces, "--slots", "2", "--chart", str(chart)]) == 0
    said = capsys.readouterr().out
    assert "as it has to be" in said
    assert "2 servers, each with one model in memory and 2 slots" in said
    assert ">affinity</text>" in chart.read_text()


def test_it_fails_without_the_rule(traces, capsys, monkeypatch):
    assert issubclass(POLICIES["affinity"], Affinity)
    monkeypatch.setitem(POLICIES, "affinity", Fifo)
    assert main([*traces, "--slots", "2"]) == 1
    said = capsys.readouterr().out
    assert "is not below that of fifo" in said
    assert "FAILED: affinity loads" in said


def test_what_is_no_trace_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OQ_TRACES", raising=False)
    assert main([]) == 2
    assert "name two files" in capsys.readouterr().out
    assert main([str(tmp_path / "none.csv")] * 2) == 2
