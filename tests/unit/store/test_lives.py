"""Any number of lives, cut into any batches: the store ends as a dict of tasks would."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oq.rules import lifecycle
from oq.rules.filters import TaskFilter
from oq.words.outcome import Failed, Interrupted
from oq.words.steps import Change, Removal, Step
from oq.words.task import Status, TaskState
from tests.support.builders import DONE, at, finish, new, start, task_id
from tests.support.stores import assert_consistent, memory_shelf, rocks_shelf

TASKS = 4


def requeued(state: TaskState, now: int) -> Step:
    return lifecycle.requeued(state)


def removed(state: TaskState, now: int) -> Step:
    return Removal(state)


NEXT: dict[Status, list[Callable[[TaskState, int], Step]]] = {
    Status.PENDING: [
        lambda state, now: start(state, at(now)),
        lambda state, now: lifecycle.cancelled(state, at(now)),
        lambda state, now: lifecycle.reprioritised(state, now % 101),
    ],
    Status.RUNNING: [
        lambda state, now: finish(state, DONE, at(now)),
        lambda state, now: finish(state, Failed("busy", retryable=True), at(now)),
        lambda state, now: finish(state, Failed("unknown model", retryable=False), at(now)),
        lambda state, now: finish(state, Interrupted("oq was shut down"), at(now)),
        lambda state, now: lifecycle.died(state, at(now)),
        lambda state, now: lifecycle.cancelled(state, at(now)),
    ],
    Status.COMPLETED: [removed],
    Status.FAILED: [
        lambda state, now: Removal(state),
        lambda state, now: lifecycle.requeued(state),
    ],
    Status.CANCELLED: [
        lambda state, now: Removal(state),
        lambda state, now: lifecycle.requeued(state),
    ],
}
MOVES = st.tuples(st.integers(1, TASKS), st.integers(0, 5), st.sampled_from(["", "cut", "reopen"]))


class Lives:
    """A store, and the dict that it ought to be."""

    def __init__(self, shelf) -> None:
        self.shelf, self.store = shelf, shelf.store()
        self.tasks: dict[str, TaskState] = {}
        self.batch: list[Step] = []
        self.apart: set[str] = set()  # tasks whose next step belongs into another batch
        self.clock = 0

    def move(self, number: int, choice: int) -> None:
        """Take a task's next step, the choice-th of those that are possible."""
        self.clock += 1
        made = task_id(number)
        state = self.tasks.get(made)
        if state is None:
            step: Step = new(number, key=f"key {number}", run_at=at(choice) if choice else None)
        else:
            possible = NEXT[state.status]
            step = possible[choice % len(possible)](state, self.clock)
        if made in self.apart:
            self.write()
        if isinstance(step, Change):
            self.tasks[made] = step.state
        else:
            del self.tasks[made]
        if isinstance(step, Removal) or step.state.status.ended:
            self.apart.add(made)  # the queue waits until an end is on disk before it goes on
        self.batch.append(step)

    def write(self) -> None:
        if self.batch:
            self.store.write(self.batch, self.clock)
        self.batch, self.apart = [], set()

    def check(self) -> None:
        self.write()
        assert_consistent(self.store, self.shelf.engine)
        newest = sorted(self.tasks.values(), key=lambda state: state.id, reverse=True)
        assert list(self.store.newest(TaskFilter())) == newest
        for status in Status:
            found = list(self.store.newest(TaskFilter(status=frozenset({status}))))
            assert found == [state for state in newest if state.status is status]


def live(shelf, moves) -> None:
    lives = Lives(shelf)
    for number, choice, then in moves:
        lives.move(number, choice)
        if then == "cut":
            lives.write()
        if then == "reopen":
            lives.check()
            lives.store = shelf.reopen(lives.store)
    lives.check()
    lives.store.close()


@given(st.lists(MOVES, max_size=60))
def test_lives_in_memory(moves):
    live(memory_shelf(), moves)


@pytest.mark.slow  # it opens RocksDB some hundred times; the same lives in memory are quick
@settings(max_examples=20)
@given(st.lists(MOVES, max_size=60))
def test_lives_on_disk(moves):
    with tempfile.TemporaryDirectory() as directory:
        live(rocks_shelf(Path(directory)), moves)
