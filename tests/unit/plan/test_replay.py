"""Replays of small traces, whose figures can be worked out by hand."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oq.plan.machine import BATCH
from tests.unit.plan.builders import LOAD, asked, run

POLICIES = ["fifo", "plain", "affinity", "ollama"]


def began(replayed) -> list[float]:
    return [call.began for call in replayed.calls]


@pytest.mark.parametrize("policy", POLICIES)
def test_one_after_the_other_after_one_load(policy):
    replayed = run([asked(0, took=4), asked(1, took=4), asked(30, took=4)], policy)
    assert began(replayed) == [LOAD, LOAD + 4, 30]
    assert (replayed.loads, replayed.swaps) == (1, 0)
    assert [call.ended for call in replayed.calls] == [LOAD + 4, LOAD + 8, 34]


@pytest.mark.parametrize("policy", POLICIES)
def test_as_many_at_once_as_there_are_slots(policy):
    replayed = run([asked(20 * (n > 0), took=4) for n in range(5)], policy, slots=2)
    assert began(replayed) == [LOAD, 20, 20, 24, 24]


@pytest.mark.parametrize("policy", ["fifo", "affinity"])
def test_a_queue_that_sees_a_model_in_memory_sends_the_others_before_the_first_token(policy):
    first, second = run([asked(0, took=40), asked(1, took=4)], policy, slots=2).calls
    assert first.began == LOAD
    assert second.sent == LOAD
    late = run([asked(0, took=40), asked(1, took=4)], policy, load=10.1, slots=2).calls[1]
    assert late.sent == pytest.approx(10.25)  # it looks every quarter of a second


@pytest.mark.parametrize(
    ("policy", "swaps"), [("fifo", 31), ("plain", 31), ("ollama", 31), ("affinity", 1)]
)
def test_two_models_in_turns_all_at_once(policy, swaps):
    """As measured on a real Ollama: a load for each call, but with affinity."""
    tasks = [asked(0.001 * n, "ab"[n % 2], took=0.1) for n in range(32)]
    replayed = run(tasks, policy, load=1)
    assert replayed.swaps == swaps
    assert max(call.ended for call in replayed.calls) == pytest.approx(
        32 * 0.1 + (swaps + 1) * 1, abs=1
    )


def flood() -> list:
    """Three callers use one model without a pause, and one task wants another."""
    return [asked(0.5 * n, "a", took=1.4) for n in range(300)] + [asked(20.25, "b")]


def test_a_server_alone_lets_a_model_starve():
    replayed = run(flood(), "ollama", load=1, slots=3)
    [other] = [call for call in replayed.calls if call.asked.model == "b"]
    assert other.began > 150  # when nothing comes any more
    assert replayed.late is None


@pytest.mark.parametrize(
    ("policy", "most"), [("fifo", 0), ("affinity,max_bypass=5", 5), ("affinity,max_bypass=20s", 20)]
)
def test_a_queue_does_not(policy, most):
    replayed = run(flood(), policy, load=1, slots=3)
    [other] = [call for call in replayed.calls if call.asked.model == "b"]
    assert most <= other.began - 20.25 <= most + 1.4 + 1
    assert replayed.late == 0


@pytest.mark.parametrize(("policy", "order"), [("fifo", [0, 3, 2, 1]), ("plain", [0, 1, 2, 3])])
def test_priorities(policy, order):
    tasks = [asked(n, took=20, priority=5 * n) for n in range(4)]
    calls = sorted(run(tasks, policy).calls, key=lambda call: call.began)
    assert [call.asked.number for call in calls] == order


@pytest.mark.parametrize("policy", ["affinity", "ollama"])
def test_the_model_that_was_used_longest_ago_leaves(policy):
    tasks = [asked(20 * n, model) for n, model in enumerate("abacab")]
    replayed = run(tasks, policy, models=2)
    assert (replayed.loads, replayed.swaps) == (4, 2)  # a and b; c for b; b for c
    assert [call.waited for call in replayed.calls] == [LOAD, LOAD, 0, LOAD, 0, LOAD]


@pytest.mark.parametrize("policy", ["fifo", "affinity"])
def test_of_two_servers_each_keeps_the_model_that_it_has(policy):
    together = [asked(0, "a", took=30), asked(1, "b", took=30)]
    later = [asked(60 + 20 * n, "ab"[n % 2]) for n in range(6)]
    replayed = run(together + later, policy, backends=2)
    assert (replayed.loads, replayed.swaps) == (2, 0)


@pytest.mark.parametrize("policy", ["fifo", "affinity"])
def test_no_model_leaves_one_server_while_another_has_room(policy):
    replayed = run([asked(20 * n, "ab"[n % 2]) for n in range(6)], policy, backends=2)
    assert (replayed.loads, replayed.swaps) == (2, 0)


def test_without_a_queue_a_call_goes_to_the_server_that_has_fewer():
    replayed = run([asked(n, took=5) for n in range(4)], "ollama", backends=2)
    assert [call.ended for call in replayed.calls] == [15, 16, 20, 21]


def test_a_replay_is_the_same_each_time():
    tasks = [asked(n * 0.7, "abc"[n * n % 3], took=n % 5, priority=n % 3) for n in range(60)]
    one, other = (
        [(call.sent, call.began, call.ended) for call in run(tasks, "affinity", slots=2).calls]
        for _ in range(2)
    )
    assert one == other


def test_a_preempted_task_begins_anew():
    tasks = [asked(0, took=10, priority=1), asked(4, took=2, priority=15)]
    low, critical = run(tasks, "fifo,preempt=true", load=0).calls
    assert (critical.began, critical.ended) == (4, 6)
    assert (low.broken_off, low.began, low.ended) == (1, 6, 16)
    later, critical = run(tasks, "fifo", load=0).calls
    assert (later.broken_off, later.ended, critical.began) == (0, 10, 10)


def test_a_preempted_task_leaves_its_slot_when_a_batch_of_its_prompt_is_read():
    """Eight seconds for four batches, of which the second one ends after four."""
    low = asked(0, took=32, priority=1, tokens=4 * BATCH, generated=0)
    critical = run([low, asked(3, priority=15)], "fifo,preempt=true", load=0).calls[1]
    assert (critical.sent, critical.began) == (3, 4)
    short = replace(low, tokens=BATCH // 2)
    assert run([short, asked(3, priority=15)], "fifo,preempt=true", load=0).calls[1].began == 8
    critical = run([low, asked(9, priority=15)], "fifo,preempt=true", load=0).calls[1]
    assert critical.began == 9
