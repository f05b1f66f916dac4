"""What the board and its policy owe each other: every policy is tried with drawn histories.

The order of ``fifo`` is in test_board.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from oq.rules.board import Board
from oq.rules.fifo import Fifo
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.policy import Choice, Policy
from oq.rules.slots import BackendSlots
from oq.words.config import Config, PolicyName, SchedulerConfig, to_config
from oq.words.messages import Job
from tests.support.builders import task_id

A, B, C = (task_id(n) for n in range(1, 4))


class Lifo(Fifo):
    """From second 10 on the youngest of the highest priority goes first, on the last backend."""

    def next(self, now: float) -> Choice | None:
        if now < 10 or not len(self):
            return super().next(now)
        priority = max(self.by_priority())
        *_, youngest = (
            task for task in self.in_line() if self._ready.place_of(task).priority == priority
        )
        backend = next((one for one in reversed(self._fleet.backends) if one.is_open(now)), None)
        return self._chosen(youngest, backend) if backend else None


class OneAtATime(Fifo):
    """It keeps account of what runs, by what it is told."""

    def load(self, tasks: Iterable[tuple[str, Place]]) -> None:
        super().load(tasks)
        self.running: list[tuple[str, str]] = []

    def next(self, now: float) -> Choice | None:
        chosen = None if self.running else super().next(now)
        self.running += [(chosen.task_id, chosen.backend)] if chosen else []
        return chosen

    def ended(
        self, task_id: str, place: Place, backend: BackendSlots, now: float, cost: int | None
    ) -> None:
        self.running.remove((task_id, backend.name))


class Blind(Fifo):
    """It does not look whether a backend has a slot."""

    def next(self, now: float) -> Choice | None:
        first = self.first()
        return self._chosen(first[0], self._fleet.backends[0]) if first else None


def board(policy: type[Fifo], *tasks: str, limits: tuple[int, ...] = (2,)) -> Board:
    fleet = Fleet([BackendSlots(f"b{n}", limit) for n, limit in enumerate(limits)])
    made = Board(9, fleet, policy(fleet, SchedulerConfig()), paused=False)
    made.load((task, Place(5, "m")) for task in tasks)
    return made


def test_the_policy_chooses_the_task_and_the_backend_and_knows_the_time():
    made = board(Lifo, A, B, C, limits=(2, 2))
    assert next(made.starts(now=9.0), None) == Job(A, "b0", elsewhere=True)
    assert next(made.starts(now=10.0), None) == Job(C, "b1", elsewhere=True)
    assert [one.running for one in made.backends] == [1, 1]


def test_the_policy_is_told_when_a_task_that_it_gave_out_has_stopped():
    made = board(OneAtATime, A, B, limits=(1, 1))
    assert next(made.starts(0.0), None) == Job(A, "b0", elsewhere=True)
    assert next(made.starts(0.0), None) is None
    made.place(A, Place(9, "m"))
    made.free(A, 0.0)
    assert next(made.starts(0.0), None) == Job(A, "b0", elsewhere=True), (
        "it came back, with a higher priority"
    )
    made.end(A)
    made.free(A, 0.0)
    assert next(made.starts(0.0), None) == Job(B, "b0", elsewhere=True)


def test_a_policy_that_gives_a_task_to_a_full_backend_is_caught():
    made = board(Blind, A, B, limits=(1,))
    next(made.starts(0.0), None)
    with pytest.raises(AssertionError, match="no slot"):
        next(made.starts(0.0), None)


def test_a_slot_that_is_given_back_twice_is_caught():
    slots = BackendSlots("b0", 1)
    slots.take(A, Place(5, "m"), 0.0)
    slots.give_back(A, 0.0)
    with pytest.raises(AssertionError, match="twice"):
        slots.give_back(A, 0.0)


def test_each_name_that_the_settings_take_is_a_policy():
    assert set(get_args(PolicyName)) == set(POLICIES)
    assert Config().scheduler.policy in POLICIES


def test_the_settings_say_which_policy():
    assert to_config({"scheduler": {"affinity": True}}).scheduler.policy == "affinity"


# -- any history of a policy, against what it ought to know

ALL = [task_id(number) for number in range(10)]
IDS = st.sampled_from(ALL)
PRIORITIES = st.integers(0, 3)
PLACES = st.builds(Place, PRIORITIES, st.sampled_from("mn"))
NAMES = st.sampled_from(["b0", "b1"])


class PolicyMachine(RuleBasedStateMachine):
    """All that a board ever tells its policy, and all that it asks. In which order the tasks of one
    priority run, and on which of the open backends, is each policy's own.
    """

    def __init__(self, kind: type[Policy]) -> None:
        super().__init__()
        self.backends = {name: BackendSlots(name, limit) for name, limit in (("b0", 1), ("b1", 2))}
        self.policy = kind(Fleet(list(self.backends.values())), SchedulerConfig())
        self.ready: dict[str, int] = {}  # their priorities
        self.running: dict[str, tuple[Place, str]] = {}  # their places and backends
        self.now = 0.0

    def line(self) -> list[str]:
        return sorted(self.ready, key=lambda task: (-self.ready[task], task))

    @initialize(found=st.dictionaries(IDS, PLACES, max_size=5))
    def load(self, found):
        self.policy.load((task, found[task]) for task in sorted(found))
        self.ready = {task: place.priority for task, place in found.items()}

    @rule(task=IDS, place=PLACES)
    def add(self, task, place):
        if task in self.running:
            return  # its slot is told to be free before it is ready again
        if task in self.ready:
            with pytest.raises(ValueError, match=task):
                self.policy.add(task, place)
        else:
            self.policy.add(task, place)
            self.ready[task] = place.priority

    @rule(task=IDS)
    def remove(self, task):
        assert self.policy.remove(task) is (self.ready.pop(task, None) is not None)

    @rule(seconds=st.sampled_from([0.0, 0.1, 20.0]))
    def next(self, seconds):
        self.now += seconds
        chosen = self.policy.next(self.now)
        if chosen is None:
            idle = not self.running and not any(one.down for one in self.backends.values())
            assert not (self.ready and idle), "nothing would ever wake it"
            return
        task, place, backend = chosen.task_id, chosen.place, chosen.backend
        assert place.priority == self.ready[task]
        assert self.ready[task] == max(self.ready.values()), "a higher priority waits"
        assert self.backends[backend].is_open(self.now), "this backend takes no task now"
        del self.ready[task]
        self.backends[backend].take(task, place, self.now)
        self.running[task] = place, backend

    @rule(data=st.data())
    def ended(self, data):
        if self.running:
            task = data.draw(st.sampled_from(sorted(self.running)))
            place, name = self.running.pop(task)
            backend = self.backends[name]
            backend.give_back(task, self.now)
            self.policy.ended(task, place, backend, self.now, None)

    @rule(name=NAMES, down=st.sampled_from([None, "gone"]))
    def down_or_up(self, name, down):
        self.backends[name].down = down

    @rule(priority=PRIORITIES, task=IDS)
    def a_page_goes_on_behind_any_place(self, priority, task):
        behind = [one for one in self.line() if (-self.ready[one], one) > (-priority, task)]
        assert [*self.policy.in_line((priority, task))] == behind

    @invariant()
    def it_has_just_the_ready_ones(self):
        assert len(self.policy) == len(self.ready)
        for task in ALL:
            assert (task in self.policy) is (task in self.ready)

    @invariant()
    def the_line_is_by_priority_and_submission(self):
        line = self.line()
        assert [*self.policy.in_line()] == line
        for number, task in enumerate(line, start=1):
            assert self.policy.position(task) == number
        for task in self.running:
            assert self.policy.position(task) is None

    @invariant()
    def they_are_counted_right(self):
        priorities = [*self.ready.values()]
        assert self.policy.by_priority() == {one: priorities.count(one) for one in priorities}
        assert self.policy.oldest() == min(self.ready, default=None)


@pytest.mark.parametrize("kind", POLICIES.values())
def test_a_policy_keeps_its_promises_in_any_history(kind):
    run_state_machine_as_test(lambda: PolicyMachine(kind), settings=settings(deadline=None))


@pytest.mark.parametrize("kind", [Lifo, OneAtATime])
def test_the_promises_can_be_kept_by_other_policies(kind):
    """They ask nothing that only `fifo` does. A few histories tell."""
    few = settings(deadline=None, max_examples=20)
    run_state_machine_as_test(lambda: PolicyMachine(kind), settings=few)


class Unfair(Fifo):
    """It gives the lowest priority out first."""

    def next(self, now: float) -> Choice | None:
        *_, last = [None, *self.in_line()]
        backend = next((one for one in self._fleet if one.is_open(now)), None)
        return self._chosen(last, backend) if last and backend else None


class Asleep(OneAtATime):
    """It does not listen when a slot is free again."""

    def ended(
        self, task_id: str, place: Place, backend: BackendSlots, now: float, cost: int | None
    ) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "says"),
    [(Blind, "takes no task"), (Unfair, "higher priority"), (Asleep, "would ever wake")],
)
def test_a_policy_that_breaks_a_promise_is_found_out(kind, says):
    quick = settings(deadline=None, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match=says):
        run_state_machine_as_test(lambda: PolicyMachine(kind), settings=quick)
