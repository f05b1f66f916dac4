"""The ready queue against the plainest thing that could be right: a list that is sorted anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from oq.rules.place import Place
from oq.rules.ready import ReadyQueue
from tests.support.builders import task_id

PRIORITIES = st.sampled_from([0, 1, 5, 10, 15, 100])
IDS = st.integers(0, 30).map(task_id)


def at_priority(priority: int) -> Place:
    return Place(priority, "m")


class ReadyMachine(RuleBasedStateMachine):
    """Any order of pushes, pops and removals, ids that come back included."""

    @initialize(loaded=st.dictionaries(IDS, PRIORITIES, max_size=10))
    def load(self, loaded):
        self.model = dict(loaded)
        self.queue = ReadyQueue({task: at_priority(loaded[task]) for task in loaded})

    def in_order(self) -> list[str]:
        return sorted(self.model, key=lambda task: (-self.model[task], task))

    @rule(task=IDS, priority=PRIORITIES)
    def push(self, task, priority):
        if task in self.model:
            with pytest.raises(ValueError, match="ready already"):
                self.queue.push(task, at_priority(priority))
        else:
            self.queue.push(task, at_priority(priority))
            self.model[task] = priority

    @rule()
    def pop(self):
        if self.model:
            first = self.in_order()[0]
            assert self.queue.first() == (first, at_priority(self.model.pop(first)))
            assert self.queue.discard(first)
        else:
            with pytest.raises(IndexError):
                self.queue.first()

    @rule(task=IDS)
    def discard(self, task):
        priority = self.model.pop(task, None)
        place = self.queue.discard(task)
        assert place == (None if priority is None else at_priority(priority))

    @rule(task=IDS, priority=PRIORITIES)
    def change_priority(self, task, priority):
        if self.queue.discard(task):
            self.queue.push(task, at_priority(priority))
            self.model[task] = priority

    @invariant()
    def order_is_strict(self):
        assert list(self.queue) == self.in_order()

    @invariant()
    def looking_takes_nothing_out(self):
        for task, priority in self.model.items():
            assert self.queue.place_of(task) == at_priority(priority)

    @invariant()
    def positions_are_exact(self):
        for position, task in enumerate(self.in_order(), start=1):
            assert self.queue.position(task) == position

    @invariant()
    def counts_are_exact(self):
        assert len(self.queue) == len(self.model)
        counts: dict[int, int] = {}
        for priority in self.model.values():
            counts[priority] = counts.get(priority, 0) + 1
        assert self.queue.by_priority() == counts


TestReadyQueue = ReadyMachine.TestCase


@given(st.permutations(range(12)))
def test_whatever_the_order_of_pushes_the_order_of_ids_is_kept(order):
    queue = ReadyQueue()
    for number in order:
        queue.push(task_id(number), at_priority(5))
    assert list(queue) == [task_id(n) for n in range(12)]


def test_a_task_that_comes_back_takes_its_old_place():
    queue = ReadyQueue({task_id(n): at_priority(5) for n in range(3)})
    first, place = queue.first()
    queue.discard(first)
    queue.push(task_id(3), at_priority(5))
    queue.push(first, place)
    assert list(queue) == [task_id(n) for n in range(4)]


def test_a_task_that_is_not_in_has_no_position():
    queue = ReadyQueue({task_id(1): at_priority(5)})
    assert queue.position(task_id(2)) is None
    assert queue.place_of(task_id(2)) is None
    assert task_id(1) in queue
    assert task_id(2) not in queue
    queue.discard(task_id(1))
    assert queue.position(task_id(1)) is None
