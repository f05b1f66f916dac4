"""The experiment with a tenant that floods: its promises, and that it finds broken ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.fairness import FLOOD, MODEL, TRICKLE, main, mean_residual, read_tasks, run
from oq.plan.rates import Rates
from oq.rules.shares import Shares
from tests.bench.traffic import trace
from tests.unit.plan.builders import asked
from tests.unit.plan.builders import run as replayed

RATES = Rates(5000, 50, 0)


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """Ten minutes in which three times as much is wanted as four slots do."""
    return trace(tmp_path / "busy.csv", (n / 4 for n in range(2400)), uneven=True)


def test_fairness_keeps_its_promises_and_the_table_says_so(busy, capsys):
    assert main([str(busy), "--slots", "4"]) == 0
    said = capsys.readouterr().out
    assert "2,400 requests of 10m, one in 20 of the trickle" in said
    assert "as it has to be" in said
    rows = {row.split()[0]: row.split() for row in said.splitlines() if row}
    assert rows["ollama"][2:4] == ["no", "promise"]
    assert float(rows["fifo,fairness=true,weight=heavy:2"][3]) == pytest.approx(2, abs=0.05)
    assert main([str(busy), "--slots", "4"]) == 0
    assert capsys.readouterr().out == said


def test_the_service_is_drawn(busy, tmp_path, capsys):
    chart = tmp_path / "service.svg"
    assert main([str(busy), "--slots", "4", "--chart", str(chart)]) == 0
    assert all(f">{name}</text>" in chart.read_text() for name in (FLOOD, TRICKLE, "heavy"))


def everybody_at_once(shares: Shares, priority: int):
    yield [*shares._bands[priority].active]


def most_served_first(shares: Shares, priority: int):
    counters = shares._bands[priority].counters()
    yield from ([tenant] for tenant in sorted(counters, key=lambda one: -counters[one]))


@pytest.mark.parametrize("rounds", [everybody_at_once, most_served_first])
def test_it_fails_without_the_rule(busy, capsys, monkeypatch, rounds: Callable[..., object]):
    monkeypatch.setattr(Shares, "rounds", rounds)
    assert main([str(busy), "--slots", "4"]) == 1
    said = capsys.readouterr().out
    assert "over the bound" in said
    assert "the trickle's p95 is" in said


def test_it_fails_when_weights_do_not_count(busy, capsys, monkeypatch):
    init = Shares.__init__

    def without(shares, settings):
        init(shares, settings)
        shares._weights = {}

    monkeypatch.setattr(Shares, "__init__", without)
    assert main([str(busy), "--slots", "4"]) == 1
    said = capsys.readouterr().out
    assert said.count("FAILED") == 1
    assert "FAILED: fifo,fairness=true,weight=heavy:2:" in said


def test_the_same_trace_is_drawn_the_same(busy):
    first, again = (read_tasks(busy, RATES, {TRICKLE: 1, FLOOD: 3}) for _ in range(2))
    assert first == again
    assert {task.model for task in first} == {f"{MODEL}:latest"}
    assert 500 < sum(task.tenant == TRICKLE for task in first) < 700


def test_for_how_long_a_call_goes_on_that_runs():
    """One of 4 s and one of 10 s run when a task comes after 3 s: 1 s and 7 s are left."""
    tasks = [asked(0, took=4), asked(0, took=10), asked(3, tenant="late")]
    calls = replayed(tasks, "fifo", load=0, slots=2).calls
    assert mean_residual(calls, "late") == 4
    assert mean_residual(calls, "nobody") == 0


def test_the_bound_is_over_the_weights(busy):
    tasks = read_tasks(busy, RATES, {TRICKLE: 1, FLOOD: 1})
    bounds = [
        run(tasks, f"fifo,fairness=true,weight=flood:{weight}", RATES, 2, (FLOOD, TRICKLE)).bound
        for weight in (1, 2)
    ]
    assert bounds == [2 * (2 * 5360 + 2000)] * 2


def test_what_is_no_trace_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OQ_TRACES", raising=False)
    assert main([]) == 2
    assert "name a file" in capsys.readouterr().out
    assert main([str(tmp_path / "none.csv")]) == 2
