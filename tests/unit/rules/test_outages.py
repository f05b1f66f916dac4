"""When the tasks of a backend are held because it fails at one after the other."""

from __future__ import annotations

from math import inf

import pytest

from oq.rules import outages as module
from oq.rules.lifecycle import ATTEMPTS_KEPT
from oq.rules.outages import (
    FIRST,
    LATER,
    PUT_OFF,
    PUT_OFF_MOST,
    PUT_OFF_TIMES,
    SPAN,
    SUSPECT,
    TASKS,
    Outages,
    put_off,
)
from oq.words.config import RetryConfig

AGAIN = 20.0


def failing(*tasks: str, model: str = "m", now: float = 0.0) -> Outages:
    known = Outages(3, AGAIN)
    for number, task in enumerate(tasks, 1):
        known.failed(task, model, "broken", now - SPAN * (number < len(tasks)))
    return known


@pytest.mark.parametrize("tasks", ["abc", "abab" + "a", "aaaab"])
def test_several_tasks_that_fail_in_a_row_hold_their_model(tasks):
    known = failing(*tasks)
    assert not known.allows("m", 0.0)
    assert known.allows("other", 0.0)
    assert known.parted
    assert known.due(0.0) == FIRST
    assert known.reason("m") is not None
    assert known.reason("other") is None


@pytest.mark.parametrize("tasks", ["", "ab", "a" * 50, "abba"])
def test_one_task_alone_or_a_few_failures_hold_nothing(tasks):
    known = failing(*tasks)
    assert known.allows("m", 0.0)
    assert known.due(0.0) == inf
    assert known.said() is None


def test_a_moment_in_which_some_fail_holds_nothing():
    """Where many tasks run, three bad ones may come together."""
    known = Outages(3, AGAIN)
    for time in (0.0, 1.0):
        for number in range(9):
            known.failed(f"t{number}", "m", "broken", time + number * SPAN / 10)
        assert known.allows("m", time + SPAN)
        known.answered("m")


def test_an_answer_in_between_is_none_in_a_row():
    known = failing("a", "b")
    known.answered("m")
    assert known.quiet
    known.failed("c", "m", "broken", 0.0)
    assert known.allows("m", 0.0)


def alternating(failures: int) -> Outages:
    """One task of each of two models, which both are tried again before any behind them is."""
    known = Outages(3, AGAIN)
    for number in range(failures):
        task = "ab"[number % 2]
        known.failed(task, f"m{task}", "broken", float(number))
    return known


def test_two_tasks_of_two_models_that_fail_in_turns_hold_all():
    """No other is tried before these have spent their retries, which are three."""
    assert alternating(5).allows("other", 5.0)
    assert not alternating(6).allows("other", 5.0)


def test_a_task_that_fails_again_and_again_while_another_model_is_held_holds_all():
    known = failing("a", "b", "c", now=0.0)
    for now in (1.0, 2.0):
        known.failed("d", "other", "broken", now)
    assert known.parted
    known.failed("d", "other", "broken", 3.0)
    assert not known.parted
    assert not known.allows("third", 3.0)


def test_an_answer_in_between_says_that_such_a_task_is_the_cause():
    known = failing("a", "b", "c", now=0.0)
    for now in range(9):
        known.failed("d", "other", "broken", float(now))
        known.served("good")
    assert known.parted


@pytest.mark.parametrize("first", [10.0, 19.0, 21.0, 45.0])
def test_canaries_of_several_models_that_run_side_by_side_are_no_more_than_three(first):
    known = Outages(3, AGAIN)
    for number in range(7):
        known.failed(f"t{number}", f"m{number % 2}", "broken", number / 2)
    began: list[float] = []
    ends: dict[str, float] = {}
    now = 5.0
    while now < 200.0:
        now += 0.25
        for task in [task for task, end in ends.items() if end <= now]:
            del ends[task]
            known.failed(task, f"m{task}", "silent", now)
        task = next(task for task in "abcdefgh" if task not in ends)
        if known.allows(f"m{task}", now):
            assert known.start(task, f"m{task}", now)
            ends[task] = now + (first if not began else 45.0)
            began.append(now)
    assert all(later - at >= 3 * AGAIN for at, later in zip(began, began[3:], strict=False))
    assert len(began) >= 6


def test_one_canary_at_a_time_and_each_a_while_after_the_one_that_failed():
    known = failing("a", "b", "c")
    assert known.allows("m", FIRST)
    assert known.start("d", "m", FIRST)
    assert not known.allows("m", FIRST)
    assert known.due(FIRST) == inf
    known.failed("d", "m", "still broken", FIRST)
    now = FIRST + LATER[0] * AGAIN
    assert not known.allows("m", now - 0.1)
    assert known.due(FIRST) == now
    assert "still broken" in (known.reason("m") or "")
    for pause in (LATER[1] * AGAIN, LATER[2] * AGAIN, AGAIN, AGAIN):
        assert known.allows("m", now)
        assert known.due(now) == inf, "it may already: nothing will happen by itself"
        known.start("e", "m", now)
        known.failed("e", "m", "broken", now)
        assert known.due(now) == now + pause
        now += pause
    known.start("f", "m", now)
    known.answered("m")
    assert known.quiet


def test_of_three_times_the_pause_no_part_has_more_than_three_canaries():
    known, now, tried = failing("a", "b", "c"), 0.0, list[float]()
    for number in range(20):
        now = known.due(now)
        known.start(f"t{number}", "m", now)
        tried.append(now)
        known.failed(f"t{number}", "m", "broken", now)
    for begin in tried:
        assert sum(begin <= at < begin + 3 * AGAIN for at in tried) <= 3


def test_what_was_sent_before_does_not_count_as_a_canary():
    known = failing("a", "b", "c")
    known.failed("sent before", "m", "broken", 0.1)
    assert known.due(0.1) == FIRST


def test_a_canary_that_is_cancelled_is_followed_by_another():
    known = failing("a", "b", "c")
    known.start("d", "m", 9.0)
    known.left("d", 10.0)
    assert not known.allows("m", 10.0)
    assert known.allows("m", 10.0 + LATER[0] * AGAIN)


@pytest.mark.parametrize(
    "ways", [[("m", "abc"), ("n", "def")], [(f"m{n}", f"{n}") for n in range(6)]]
)
def test_what_fails_at_several_models_is_held_as_a_whole(ways):
    known = Outages(3, AGAIN)
    for time in (-SPAN, 0.0):
        for model, tasks in ways:
            for task in tasks:
                known.failed(task, model, "broken", time)
    assert not known.allows("any other", 0.0)
    assert not known.parted
    known.start("x", "any other", 1.0)
    known.answered("any other")
    assert known.quiet


def test_an_answer_of_another_model_does_not_free_a_model_that_fails():
    known = failing("a", "b", "c")
    known.answered("other")
    assert not known.allows("m", 0.0)


def test_a_busy_backend_gets_one_task_when_it_gets_one_again():
    known = Outages(3, AGAIN)
    known.busy("a", "full", 0.0)
    assert known.allows("m", 0.0)
    known.start("b", "m", 0.0)
    assert not known.allows("m", 0.0)
    known.busy("b", "full", 1.0)
    assert known.allows("m", 1.0)
    known.start("c", "m", 1.0)
    known.answered("m")
    assert known.quiet


def test_a_backend_that_was_away_is_no_longer_busy_nor_silent():
    known = Outages(3, AGAIN)
    known.wedged("m", "a", 0.0)
    known.busy("b", "full", 0.0)
    known.restarted(10.0)
    assert known.quiet


def test_failures_of_many_models_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MODELS", 4)
    known = Outages(1000, AGAIN)
    for number in range(20):
        known.failed("a", f"m{number}", "broken", 0.0)
    assert len(known._failed) == 4


def test_a_canary_is_put_off_for_longer_each_time_and_then_no_more():
    times = [put_off(failures) for failures in range(1, PUT_OFF_TIMES + 2)]
    assert times == [PUT_OFF, *[PUT_OFF_MOST] * (PUT_OFF_TIMES - 1), None]
    assert PUT_OFF_TIMES + RetryConfig().max_retries < ATTEMPTS_KEPT, "they are counted"


def test_a_wedged_model_is_held_until_one_of_those_that_run_has_ended():
    outages = Outages(3, 20.0)
    outages.wedged("beta", "t1", 0.0)
    assert not outages.allows("beta", 1000.0)
    assert outages.allows("alpha", 1000.0)
    assert "produce nothing (of beta)" in (outages.said() or "")
    outages.answered("alpha")
    assert not outages.quiet
    outages.failed("t1", "beta", "no answer within 10m", 1000.0)
    assert outages.allows("beta", 1000.0 + LATER[0] * 20.0)
    outages.answered("beta")
    assert outages.quiet


def test_a_wedged_model_and_one_that_fails_do_not_hold_the_rest():
    outages = Outages(3, 20.0)
    outages.wedged("beta", "t1", 0.0)
    for number in range(3):
        outages.failed(f"f{number}", "gamma", "500", number)
    assert outages.reason("gamma") is not None
    assert outages.reason("alpha") is None


def test_a_wedged_model_of_which_nothing_runs_any_more_is_tried():
    outages = Outages(3, 20.0)
    outages.wedged("beta", None, 0.0)
    assert outages.allows("beta", 1.0)
    assert outages.start("t2", "beta", 1.0)
    assert not outages.allows("beta", 1000.0)


def test_the_canary_of_a_model_that_finds_all_of_the_backend_busy_is_followed_by_another():
    known = failing("a", "b", "c")
    known.start("d", "m", 1.0)
    known.busy("d", "full", 2.0)
    known.answered("other")
    assert not known.quiet
    assert known.allows("m", 2.0 + LATER[0] * AGAIN)


def test_so_is_one_that_fails_while_all_of_the_backend_is_held():
    known = Outages(3, AGAIN)
    known.wedged("m", "a", 0.0)
    for number in range(3):
        known.failed(f"f{number}", "other", "broken", float(number))
        known.failed(f"g{number}", "third", "broken", float(number))
    known.failed("a", "m", "no answer within 10m", 600.0)
    known.served("other")
    assert known.reason("other") is None
    assert known.reason("m") is not None, "nothing of it was produced since"
    assert known.allows("m", 700.0)


@pytest.mark.parametrize("served", [False, True])
def test_a_first_byte_proves_nothing_where_tasks_failed_behind_theirs(served):
    known = Outages(3, AGAIN)
    for number in range(3):
        known.answered("m")
        known.failed(f"t{number}", "m", "cut off", float(number), begun=True)
    assert known.reason("m") is not None
    known.start("d", "m", 5.0)
    known.served("m") if served else known.answered("m")
    assert known.quiet is served


def test_what_fails_behind_its_first_byte_at_several_models_is_held_as_a_whole():
    known = Outages(3, AGAIN)
    for number in range(6):
        known.answered(f"m{number}")
        known.failed(f"t{number}", f"m{number}", "cut off", float(number), begun=True)
        known.answered(f"m{number}")
    assert known.reason("any other") is not None


def test_while_a_canary_is_silent_one_of_another_model_is_tried():
    known = Outages(3, AGAIN)
    known.busy("a", "full", 0.0)
    known.start("b", "m", 0.0)
    assert not known.allows("other", AGAIN - 1)
    assert known.due(0.0) == AGAIN
    assert known.allows("other", AGAIN)
    assert not known.allows("m", AGAIN)


def test_a_model_may_be_wedged_while_all_are_held():
    known = Outages(3, AGAIN)
    known.busy("a", "full", 0.0)
    known.start("b", "m", 0.0)
    known.wedged("m", "b", 600.0)
    known.answered("other")
    assert not known.allows("m", 700.0)
    assert known.allows("other", 700.0)


def test_a_backend_that_fails_is_tried_at_once_when_it_was_away_and_held_until_it_answers():
    known = failing("a", "b", "c")
    known.start("d", "m", 5.0)
    known.restarted(10.0)
    assert known.allows("m", 10.0)
    assert known.start("e", "m", 10.0)
    assert not known.allows("m", 10.0)
    known.answered("m")
    assert known.quiet


def test_all_kinds_of_trouble_share_one_number_of_tries():
    known = failing("a", "b", "c")
    for number in range(3):
        known.start(f"t{number}", "m", 100.0 * number)
        known.failed(f"t{number}", "m", "broken", 100.0 * number)
    known.busy("x", "full", 400.0)
    assert known.tried == 3


def test_a_task_that_finds_it_busy_again_and_again_while_others_are_answered_may_be_the_cause():
    known = Outages(3, AGAIN)
    for hold in range(SUSPECT + 1):
        assert not known.suspects
        for minute in range(10):  # of one outage
            known.busy("a", "full", 1000.0 * hold + 60.0 * minute)
        known.served("m")
    assert known.suspects == {"a"}
    for number in range(TASKS):
        known.busy(f"t{number}", "full", 1e6)
    assert len(known._busy) == TASKS
    assert not known.suspects
