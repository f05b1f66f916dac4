"""`oq serve` is killed again and again while it works, and keeps every promise that it made."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest

from oq.words.task import Attempt, Status, Task
from tests.crash.chance import seeded
from tests.crash.kills import POISON_RETRIES, Aftermath, kill_again_and_again

KILLS_AT_WORK = 30
KILLS_AT_START = 6


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory) -> Aftermath:
    """Kill a server under load, 36 times; then let it finish its work, and read all of it."""
    data = tmp_path_factory.mktemp("sigkill") / "data"
    return kill_again_and_again(data, seeded(), KILLS_AT_WORK, KILLS_AT_START)


def test_enough_was_going_on(aftermath):
    """Or the tests below would prove nothing."""
    tasks = aftermath.tasks.values()
    assert len(tasks) > 500
    assert sum(len(witness.completed) for witness in aftermath.witnesses) > 100
    assert sum(len(task.attempts) > 1 for task in tasks) > 10
    assert {task.priority for task in tasks} == {1, 5, 10, 15, 100}


def test_no_acknowledged_task_is_missing(aftermath):
    assert aftermath.acknowledged() > 0
    assert aftermath.lost() == []


def test_a_task_submitted_again_with_its_key_is_one_task(aftermath):
    prompts = [task.payload["prompt"] for task in aftermath.tasks.values()]
    assert len(prompts) == len(set(prompts))


def test_what_was_reported_completed_has_not_run_again(aftermath):
    assert aftermath.changed() == []
    assert aftermath.broken() == []


def test_every_task_ended_and_only_poison_failed(aftermath):
    for task in aftermath.tasks.values():
        if task.status is not Status.COMPLETED:
            assert task.status is Status.FAILED
            assert task.error.startswith("poison")
            assert len(task.attempts) > task.max_retries
            assert all("oq stopped" in attempt.error for attempt in task.attempts)


def test_a_task_that_runs_at_every_death_is_poison(aftermath):
    task = aftermath.tasks[aftermath.poison]
    assert task.status is Status.FAILED
    assert len(task.attempts) == POISON_RETRIES + 1


def test_inside_a_priority_the_first_starts_are_in_order(aftermath):
    lines: dict[int, list[Task]] = defaultdict(list)
    for task in aftermath.tasks.values():
        lines[task.priority].append(task)
    for line in lines.values():
        for before, after in pairwise(line):
            earlier, later = before.attempts[0], after.attempts[0]
            assert earlier.started_at <= later.started_at or _lost_an_attempt(earlier, later)


def _lost_an_attempt(earlier: Attempt, later: Attempt) -> bool:
    """Whether what seems to be the earlier task's first attempt may be its second: one that had
    ended, which was not on disk yet when oq was killed. Of those that backends had then oq knows.
    """
    return "oq stopped" in (later.error or "") and later.ended_at <= earlier.started_at


def test_each_client_has_its_tasks_in_the_order_in_which_it_submitted_them(aftermath):
    for witness in aftermath.witnesses:
        assert list(witness.acknowledged) == sorted(witness.acknowledged)
