"""The regression gate passes a build that is as it was, and stops one that is slower."""

import threading

import msgspec
import pytest

from bench import gate
from oq.backends.simulated import NoopBackend
from oq.store import Store

ROUNDS = 4


@pytest.fixture(scope="module")
def baseline():
    """What this machine shows, so that these tests say nothing of the committed figures."""
    return gate.costs_of(gate.measure(ROUNDS))


def test_a_build_that_is_as_it_was_passes(baseline):
    _, slower = gate.judge(baseline, ROUNDS)
    assert slower == []


def test_half_a_millisecond_of_sleep_in_the_writer_is_caught(baseline, monkeypatch):
    write, pause = Store.write, threading.Event()

    def slow(self, *parts):
        pause.wait(0.0005)
        write(self, *parts)

    monkeypatch.setattr(Store, "write", slow)
    _, slower = gate.judge(baseline, rounds=1)
    assert "lone_wall" in slower


def test_needless_work_for_each_task_is_caught(baseline, monkeypatch):
    run = NoopBackend.run

    async def slow(self, *parts):
        sum(range(40_000))
        return await run(self, *parts)

    monkeypatch.setattr(NoopBackend, "run", slow)
    _, slower = gate.judge(baseline, rounds=1)
    assert {"bulk_cpu", "producers_cpu"} <= set(slower)


def test_a_cost_is_over_its_limit_only_beyond_the_margin():
    at_most = 1 + gate.MARGIN
    assert gate.over({"a": 10 * at_most, "b": 10 * at_most + 1}, {"a": 10, "b": 10}) == ["b"]


def test_noise_is_measured_again_and_the_least_counts(monkeypatch):
    runs = iter(
        [
            {"a_cpu": 99.0, "b_wall": 10.0, "reference_cpu": 1.0, "reference_wall": 1.0},
            {"a_cpu": 10.0, "b_wall": 99.0, "reference_cpu": 9.0, "reference_wall": 1.0},
        ]
    )
    monkeypatch.setattr(gate, "measure", lambda rounds: next(runs))
    assert gate.judge({"a_cpu": 10, "b_wall": 10}) == ({"a_cpu": 10.0, "b_wall": 10.0}, [])


def test_noise_in_the_reference_does_not_hide_a_slow_build(monkeypatch):
    runs = iter([1.0, 9.0, 9.0, 9.0])
    monkeypatch.setattr(
        gate, "measure", lambda rounds: {"a_cpu": 99.0, "reference_cpu": next(runs)}
    )
    assert gate.judge({"a_cpu": 10}) == ({"a_cpu": 99.0}, ["a_cpu"])


def test_what_stays_slow_is_measured_so_often_and_no_more(monkeypatch):
    runs = []

    def measure(rounds):
        runs.append(rounds)
        return {"a_cpu": 99.0, "reference_cpu": 1.0}

    monkeypatch.setattr(gate, "measure", measure)
    assert gate.judge({"a_cpu": 10}) == ({"a_cpu": 99.0}, ["a_cpu"])
    assert len(runs) == gate.ATTEMPTS


def test_the_committed_baseline_has_a_figure_for_each_cost(baseline):
    committed = msgspec.json.decode(gate.BASELINE.read_bytes(), type=gate.Gate)
    assert set(committed.costs) == set(baseline)
    assert all(f"| {name} |" in gate.table(baseline, committed.costs) for name in baseline)


def test_a_slower_build_ends_with_exit_code_1_and_says_which_cost(monkeypatch, capsys):
    committed = msgspec.json.decode(gate.BASELINE.read_bytes(), type=gate.Gate).costs
    as_it_was = dict(committed, reference_cpu=1.0, reference_wall=1.0)
    slow = dict(as_it_was, lone_wall=committed["lone_wall"] * 9)
    monkeypatch.setattr("sys.argv", ["gate"])
    monkeypatch.setattr(gate, "measure", lambda rounds: slow)
    assert gate.main() == 1
    assert "slower: lone_wall" in capsys.readouterr().out
    monkeypatch.setattr(gate, "measure", lambda rounds: as_it_was)
    assert gate.main() == 0
