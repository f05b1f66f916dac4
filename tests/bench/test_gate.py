"""The regression gate stops a build that is slower. That it passes one that is as it was, its own
run in CI shows, against a baseline that was measured for longer than a test may take.
"""

import threading

import msgspec
import pytest
import trio

from bench import gate, stopwatch, trial
from bench.stopwatch import Stopwatch
from oq.actors.writer import Writer
from oq.backends.simulated import NoopBackend
from oq.http import tasks
from oq.queue import RawQueue
from oq.store import Store
from oq.store.rocks import RocksEngine
from oq.store.sync_thread import SyncThread

ROUNDS = 6


@pytest.fixture(scope="module")
def baseline():
    """What this machine shows, so that these tests say nothing of the committed figures."""
    return gate.costs_of(trial.measure(ROUNDS))


def found(baseline):
    """The costs that one round shows to be over their limits: what is slow is so every time. The
    sleeps below make a task ten times as slow, for the yardstick of one round may be off by two.
    """
    return set(gate.over(gate.costs_of(trial.measure(1)), baseline))


def delayed(call, seconds, every=1):
    """The same, and before every so manieth call it blocks."""
    calls, pause = 0, threading.Event()

    def slow(*parts, **more):
        nonlocal calls
        calls += 1
        if calls % every == 0:
            pause.wait(seconds)
        return call(*parts, **more)

    return slow


def test_a_sleep_in_the_writer_is_caught(baseline, monkeypatch):
    monkeypatch.setattr(Store, "write", delayed(Store.write, 0.005))
    assert {"lone_wall", "post_wall"} <= found(baseline)


def test_a_sleep_in_every_fifth_commit_is_caught(baseline, monkeypatch):
    monkeypatch.setattr(Store, "write", delayed(Store.write, 0.025, every=5))
    assert {"lone_wall", "post_wall"} <= found(baseline)


def test_a_sleep_in_commits_of_many_is_caught(baseline, monkeypatch):
    commit = Writer._commit

    async def slow(self, commits):
        if sum(len(one.steps) for one in commits) > 2:
            await trio.sleep(0.1)  # the slowness to be found
        await commit(self, commits)

    monkeypatch.setattr(Writer, "_commit", slow)
    assert {"bulk_wall", "producers_wall"} <= found(baseline)


def test_a_sleep_in_the_sync_is_caught(baseline, monkeypatch):
    monkeypatch.setattr(RocksEngine, "sync", delayed(RocksEngine.sync, 0.005))
    assert {"lone_wall", "post_wall"} <= found(baseline)


def test_a_second_sync_for_each_commit_is_caught(baseline, monkeypatch):
    do = SyncThread.do

    async def twice(self):
        await do(self)
        await do(self)

    monkeypatch.setattr(SyncThread, "do", twice)
    assert {"lone_syncs", "post_syncs", "commit_syncs"} <= found(baseline)


def test_a_sleep_in_the_http_side_is_caught(baseline, monkeypatch):
    monkeypatch.setattr(tasks, "decode_submission", delayed(tasks.decode_submission, 0.01))
    assert "post_wall" in found(baseline)


def test_a_lone_post_that_waits_in_trio_is_caught(baseline, monkeypatch):
    submit = RawQueue.submit

    async def slow(self, *parts, **more):
        await trio.sleep(0.01)  # the slowness to be found
        return await submit(self, *parts, **more)

    monkeypatch.setattr(RawQueue, "submit", slow)
    assert {"lone_wall", "post_wall"} <= found(baseline)


def test_needless_work_for_each_task_is_caught(baseline, monkeypatch):
    run = NoopBackend.run

    async def slow(self, *parts):
        sum(range(100_000))
        return await run(self, *parts)

    monkeypatch.setattr(NoopBackend, "run", slow)
    assert {"bulk_cpu", "producers_cpu", "lone_cpu", "post_cpu"} <= found(baseline)


def test_a_stopwatch_takes_off_what_others_took_and_not_what_was_slept(monkeypatch):
    clock = iter([10.0, 11.0])
    waited = iter([{1: 0.5, 2: 7.0}, {1: 0.7, 2: 7.4}])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(stopwatch.time, "thread_time", lambda: 0.0)
    monkeypatch.setattr(stopwatch.threading, "get_native_id", lambda: 1)
    monkeypatch.setattr(Stopwatch, "_waited", lambda self: next(waited))
    assert Stopwatch().taken().wall == pytest.approx(0.4)


def test_where_nobody_counts_waits_the_wall_time_is_the_clocks(monkeypatch):
    monkeypatch.setattr(stopwatch, "_counts", dict)
    clock = iter([10.0, 11.0])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(clock))
    assert Stopwatch().taken().wall == 1


YARDSTICKS = ("loop_cpu", "loop_wall", "hop_cpu", "hop_wall")
FIGURES = dict.fromkeys(gate.COSTS, 10.0) | dict.fromkeys(YARDSTICKS, 1.0)
AS_IT_WAS = dict.fromkeys(gate.COSTS, 10.0)


def runs_of(monkeypatch, *runs):
    """The gate measures these, one after the other; how often it has is the list's length."""
    made = []

    def measure(rounds):
        made.append(rounds)
        return FIGURES | runs[min(len(made), len(runs)) - 1]

    monkeypatch.setattr(gate, "measure", measure)
    return made


@pytest.mark.parametrize("name", gate.COSTS)
def test_a_cost_is_over_its_limit_only_beyond_its_margin(name):
    limit = 10 * gate.COSTS[name].at_most
    assert gate.over({name: limit}, AS_IT_WAS) == []
    assert gate.over({name: limit + 0.01}, AS_IT_WAS) == [name]


def test_noise_is_measured_again(monkeypatch):
    noise = {"bulk_cpu": 99.0}, {"lone_wall": 99.0}, {"post_cpu": 99.0, "hop_cpu": 1.2}
    made = runs_of(monkeypatch, *noise, {})
    assert gate.judge(AS_IT_WAS)[1] == []
    assert len(made) == 3, "each was within its limit twice"


@pytest.mark.parametrize("noisy", range(1, 5))
def test_noise_in_a_yardstick_does_not_hide_a_slow_build(monkeypatch, noisy):
    runs = [{"lone_cpu": 99.0} for _ in range(gate.ATTEMPTS)]
    runs[noisy] |= {"hop_cpu": 9.0}
    runs_of(monkeypatch, *runs)
    assert gate.judge(AS_IT_WAS)[1] == ["lone_cpu"]


def test_a_fast_moment_of_a_yardstick_does_not_make_a_build_slow(monkeypatch):
    fast = dict.fromkeys(("lone_cpu", "lone_wall", "hop_cpu", "hop_wall"), 0.5)
    runs_of(monkeypatch, {"hop_cpu": 0.5, "hop_wall": 0.5}, {}, fast, {})
    assert gate.judge(AS_IT_WAS)[1] == []


def test_what_stays_slow_is_measured_so_often_and_no_more(monkeypatch):
    made = runs_of(monkeypatch, {"post_wall": 99.0})
    assert gate.judge(AS_IT_WAS)[1] == ["post_wall"]
    assert len(made) == gate.ATTEMPTS


def test_the_committed_baseline_has_a_figure_for_each_cost():
    committed = msgspec.json.decode(gate.BASELINE.read_bytes(), type=gate.Gate).costs
    assert set(committed) == set(gate.COSTS)
    assert all(f"| {name} |" in gate.table(AS_IT_WAS, committed) for name in gate.COSTS)


def test_each_cost_that_became_slower_or_much_faster_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["gate"])
    monkeypatch.setattr(gate, "BASELINE", tmp_path / "baseline.json")
    gate.BASELINE.write_bytes(msgspec.json.encode(gate.Gate(AS_IT_WAS, {})))
    runs_of(monkeypatch, {"lone_wall": 90.0, "bulk_cpu": 1.0})
    assert gate.main() == 1
    said = capsys.readouterr().out
    assert "slower: lone_wall. " in said
    assert "much faster: bulk_cpu. " in said
    runs_of(monkeypatch, {})
    assert gate.main() == 0
    assert "become" not in capsys.readouterr().out
