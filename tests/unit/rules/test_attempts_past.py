"""What backends ran lately is bounded, and each attempt has a lane of its own while it runs."""

from __future__ import annotations

from datetime import datetime
from sys import getrefcount

from oq.rules.attempts_past import KEPT, AttemptsPast
from oq.words.events import EventType
from oq.words.outcome import Completed, Failed, Interrupted
from oq.words.steps import Change
from oq.words.task import TaskState
from oq.words.timeline import TimelineAttempt
from tests.support.builders import at, finish, new, start, task_id


class Past:
    """Told of steps as the metrics tell it."""

    def __init__(self) -> None:
        self.running: dict[str, TaskState] = {}
        self.past = AttemptsPast(self.running.values)

    def tell(self, *steps: Change) -> None:
        for step in steps:
            if step.event is EventType.TASK_STARTED:
                self.running[step.state.id] = step.state
            else:
                self.past.note(self.running.pop(step.state.id), step, at(100))


def run(past: Past, number: int, began: float, ended: float) -> None:
    begun = start(new(number).state, at(began))
    past.tell(begun)
    past.tell(finish(begun.state, now=at(ended), first_token_at=at(began + 1)))


def shown(past: Past, since: datetime | None = None) -> list[TimelineAttempt]:
    return past.past.since("ollama", since or at(-1000))


def test_a_backend_that_ran_nothing_has_no_attempts():
    assert shown(Past()) == []


def test_an_attempt_is_there_while_it_runs_and_afterwards():
    past = Past()
    begun = start(new(1).state, at(5))
    past.tell(begun)
    [one] = shown(past)
    assert (one.task_id, one.started_at, one.ended_at) == (task_id(1), at(5), None)
    past.tell(finish(begun.state, now=at(9), first_token_at=at(6)))
    [one] = shown(past)
    assert (one.ended, one.ended_at, one.first_token_at) == ("completed", at(9), at(6))
    assert shown(past, at(10)) == [], "it was over by then"


def test_lanes_are_used_again_the_lowest_first():
    past = Past()
    begun = [start(new(number).state, at(number)) for number in (1, 2, 3)]
    past.tell(*begun)
    for one in (begun[1], begun[0]):
        past.tell(finish(one.state, now=at(5)))
    past.tell(start(new(4).state, at(6)), start(new(5).state, at(6)))
    lanes = {one.task_id: one.lane for one in shown(past)}
    assert lanes == {task_id(number): lane for number, lane in enumerate((0, 1, 2, 0, 1), 1)}


def test_an_attempt_that_failed_and_one_that_was_put_back_are_told_apart():
    past = Past()
    failed = start(new(1).state, at(1))
    busy = start(new(2).state, at(1))
    past.tell(failed, busy)
    past.tell(finish(failed.state, Failed("broken", retryable=True), at(2)))
    past.tell(finish(busy.state, Interrupted("it is busy", ran=False), at(2)))
    assert [one.ended for one in shown(past)] == ["failed", "put_back"]


def test_only_the_latest_are_kept():
    past = Past()
    for number in range(1, KEPT + 11):
        run(past, number, number, number + 0.5)
    attempts = shown(past)
    assert len(attempts) == KEPT
    assert attempts[0].task_id == task_id(11)
    assert {one.lane for one in attempts} == {0}


def test_a_result_is_not_kept_for_the_sake_of_its_attempt():
    past, result = Past(), b"x" * 1000
    begun = start(new(1).state, at(5))
    past.tell(begun)
    before = getrefcount(result)
    past.tell(finish(begun.state, Completed(result), now=at(9)))
    assert getrefcount(result) == before
