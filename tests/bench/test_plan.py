"""The experiment with two models: its lower bound, its verdict and its table."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.fewest_loads import fewest_loads
from bench.plan import ORDERS, failures, main, measure, most_at_once, read_tasks
from oq.plan.rates import Rates
from oq.rules.affinity import Affinity
from oq.rules.policies import POLICIES
from tests.bench.traffic import trace
from tests.unit.plan.builders import asked, run


@pytest.fixture
def traces(tmp_path):
    """The first model is wanted all the time, the other now and then."""
    return [
        trace(tmp_path / "one.csv", range(600)),
        trace(tmp_path / "two.csv", range(7, 600, 20)),
    ]


def test_both_files_are_one_line_of_tasks(tmp_path):
    files = [trace(tmp_path / "one.csv", [0, 9]), trace(tmp_path / "two.csv", [4])]
    tasks = read_tasks(files, Rates(5000, 50, 10))
    assert [(task.at, task.model) for task in tasks] == [
        (0, "one:latest"), (4, "two:latest"), (9, "one:latest")
    ]  # fmt: skip
    assert {(task.reads, task.writes) for task in tasks} == {(1, 2)}


def test_the_most_at_once():
    assert most_at_once(run([asked(20 * (n > 0), took=4) for n in range(5)], "fifo").calls) == 1
    assert (
        most_at_once(run([asked(n / 2, took=4) for n in range(9)], "fifo", 0, slots=3).calls) == 3
    )


# -- the fewest loads


def test_one_model_is_loaded_once():
    assert fewest_loads([asked(n) for n in range(99)], 10, 30) == 1


def test_a_model_with_nothing_to_do_leaves():
    """Three times in turns, long after each other."""
    assert fewest_loads([asked(100 * n, "ab"[n % 2]) for n in range(6)], 10, 30) == 6


@pytest.mark.parametrize("most", [0, 10, 30, 90, 1000])
def test_a_turn_takes_as_long_as_the_oldest_task_may_wait(most):
    """Ten minutes of both models: a turn is `most`, what runs then (1 s), and a load (10 s)."""
    tasks = [asked(n / 4, "ab"[n % 2], took=1) for n in range(2400)]
    assert fewest_loads(tasks, 10, most) == pytest.approx(1 + 600 / (most + 1 + 10), abs=1.5)


class Fickle(Affinity):
    """It changes its model sooner than it must: for each task that is passed over, at a time of its
    own.
    """

    draw = Random(0)

    def next(self, now):
        self._most = getattr(self, "_most", self._max_bypass)
        before = self._heads_now()
        choice = super().next(now)
        if self._heads_now() != before:
            self._max_bypass = self.draw.choice([self._most, self.draw.uniform(0, self._most)])
        return choice

    def _heads_now(self):
        return [(one, flow.first) for one, band in self._bands for flow in band.flows.values()]


@seed(16)
@settings(max_examples=500, deadline=None, database=None)
@given(
    st.lists(
        st.builds(
            asked,
            at=st.integers(0, 1200).map(lambda n: n / 4),
            model=st.sampled_from("aab"),
            took=st.integers(0, 160).map(lambda n: n / 4),
        ),
        min_size=1,
        max_size=80,
    ),
    st.sampled_from([0.0, 0.5, 2.0, 10.0]),
    st.sampled_from([0, 1, 5, 30]),
    st.integers(0, 1 << 30),
)
def test_no_order_within_the_bound_does_with_fewer(tasks, load, most, drawn):
    fewest = fewest_loads(sorted(tasks, key=lambda task: task.at), load, most)
    Fickle.draw = Random(drawn)
    with pytest.MonkeyPatch.context() as patch:
        for policy in (Affinity, Fickle):
            patch.setitem(POLICIES, "affinity", policy)
            replayed = run(tasks, f"affinity,max_bypass={most}s", load, slots=99)
            assert replayed.late == 0
            assert replayed.loads >= fewest


# -- the verdict


def test_affinity_is_near_the_fewest_and_the_table_says_so(traces, capsys):
    assert main([str(file) for file in traces]) == 0
    said = capsys.readouterr().out
    assert "630 requests of 9m59s, for one and two." in said
    assert "as it has to be" in said
    rows = {row.split()[0]: row.split() for row in said.splitlines() if row}
    assert rows["ollama"][2:4] == ["-", "-"]
    assert 1 <= float(rows["affinity"][3]) <= 1.1


def test_a_chart_has_a_line_for_each_order(traces, tmp_path, capsys):
    chart = tmp_path / "waits.svg"
    assert main([*map(str, traces), "--chart", str(chart)]) == 0
    drawn = chart.read_text()
    assert all(f">{order}</text>" in drawn for order in ORDERS)
    assert "How long 630 tasks waited" in drawn


def test_what_is_wrong_is_said(traces):
    rates = Rates(5000, 50, 10)
    results = measure(read_tasks(traces, rates), rates, slots=1024)
    assert failures(results, 1024) == []
    fifo, ollama, affinity, *rest = results
    assert failures(results, affinity.at_once) == [
        f"all {affinity.at_once} slots were in use: the fewest loads are not known (--slots)"
    ]
    often = [fifo, ollama, affinity._replace(fewest=affinity.found.loads // 2), *rest]
    assert "affinity loads 2." in failures(often, 1024)[0]
    slow = [fifo._replace(found=replace(fifo.found, waits=affinity.found.waits)), *results[1:]]
    assert "is not below fifo's" in failures(slow, 1024)[0]
    late = [*results[:2], affinity._replace(found=replace(affinity.found, passed_over=3)), *rest]
    assert failures(late, 1024) == ["affinity passed over 3 tasks for too long"]


def test_what_is_no_trace_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OQ_TRACES", raising=False)
    assert main([]) == 2
    assert "name two files" in capsys.readouterr().out
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    assert main([str(tmp_path / "bad.csv")] * 2) == 2
    assert "is no trace" in capsys.readouterr().out
    assert main([str(tmp_path / "none.csv")] * 2) == 2
