"""The experiment with people and a batch: what it measures, and that it finds a broken rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from bench.batch import (
    ORDERS,
    RECOMMENDED,
    Alone,
    Firsts,
    Result,
    done_in_gaps,
    failures,
    main,
    read_tasks,
    thinned,
    work,
)
from bench.traces import Sent
from oq.plan.rates import Rates
from oq.rules.recalls import Recalls
from tests.bench.traffic import trace
from tests.unit.plan.builders import asked, run

RATES = Rates(5000, 50, 0)
START = datetime(2023, 11, 16, 18, tzinfo=UTC)


@pytest.fixture
def traffic(tmp_path: Path) -> Path:
    """Twenty minutes."""
    return trace(tmp_path / "traffic.csv", (n / 2 for n in range(2400)))


def test_the_recommended_setting_serves_both_and_the_table_says_so(traffic, capsys):
    assert main([str(traffic)]) == 0
    said = capsys.readouterr().out
    assert "as it has to be" in said
    rows = {row.split()[0]: row.split() for row in said.splitlines() if row}
    assert list(rows)[2:-2] == [*ORDERS]
    assert main([str(traffic)]) == 0
    assert capsys.readouterr().out == said


def test_all_settings_are_drawn(traffic, tmp_path, capsys):
    chart = tmp_path / "batch.svg"
    assert main([str(traffic), "--chart", str(chart)]) == 0
    assert all(f">{name}</text>" in chart.read_text() for name in ORDERS.values())


def test_it_fails_without_the_rule(traffic, capsys, monkeypatch):
    monkeypatch.setattr(Recalls, "_preempted", lambda *_: [])
    assert main([str(traffic)]) == 1
    assert f"FAILED: {RECOMMENDED}: first tokens take" in capsys.readouterr().out


def test_it_fails_when_more_is_broken_off_than_must_be(traffic, capsys, monkeypatch):
    """All that may go, for each critical task that waits."""
    monkeypatch.setattr(Recalls, "_for", lambda recalls, *_: recalls._may_go())
    assert main([str(traffic)]) == 1
    assert f"FAILED: {RECOMMENDED}: the batch has" in capsys.readouterr().out


def test_what_is_free_of_the_slots_adds_up():
    """Two slots: one call from 0 to 4, another from 2 to 6."""
    calls = run([asked(0, took=4), asked(2, took=4)], "fifo", load=0, slots=2).calls
    needed_and_done = [(1, 1), (2, 2), (3, 5), (4, 6), (10, 9)]
    assert [done_in_gaps(calls, 2, needed) for needed, _ in needed_and_done] == [
        done for _, done in needed_and_done
    ]


def test_some_requests_of_some_spells_are_left():
    requests = [Sent(START + timedelta(seconds=n / 10), 1, 1) for n in range(36000)]
    left = thinned(requests, Random(1))
    assert left == thinned(requests, Random(1))
    spells = {int((sent.at - START).total_seconds() // 120) for sent in left}
    assert 8 < len(spells) < 22
    assert len(left) == pytest.approx(len(spells) * 1200 / 8, rel=0.1)


def test_the_batch_fills_nine_tenths_of_what_is_free(traffic):
    tasks = read_tasks(traffic, RATES, 4)
    batch = [task for task in tasks if task.priority == 0]
    assert {task.at for task in batch} == {0}
    people = [task for task in tasks if task.priority == 15]
    free = 4 * 1199.5 - sum(map(work, people))
    assert sum(map(work, batch)) == pytest.approx(0.9 * free, abs=3)


def test_what_is_not_reached_is_said():
    alone = Alone(Firsts(0.5, 1.0, 2.0), took=90.0, tokens=1000)
    good = Result(RECOMMENDED, Firsts(0.5, 1.1, 3.0), took=100.0, broken_off=1)
    assert failures([good], alone) == []
    assert failures([good._replace(took=101.0)], alone) == [
        f"{RECOMMENDED}: the batch has 89.1% of alone in the gaps"
    ]
    slow = good._replace(firsts=Firsts(0.5, 1.2, 3.0))
    assert failures([slow], alone) == [f"{RECOMMENDED}: first tokens take 1.20 times as long"]
    assert failures([slow._replace(policy="fifo"), good], alone) == []


def test_what_leaves_nothing_to_measure_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OQ_TRACES", raising=False)
    assert main([]) == 2
    assert "name a file" in capsys.readouterr().out
    assert main([str(trace(tmp_path / "one.csv", [0]))]) == 2
    assert "of 1 requests none is left" in capsys.readouterr().out
    crowd = trace(tmp_path / "crowd.csv", (n / 40 for n in range(24000)))
    assert main([str(crowd), "--slots", "1"]) == 2
    assert "give more (--slots)" in capsys.readouterr().out
