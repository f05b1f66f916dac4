"""The board: slots are never overdrawn and given back once, and each task is in one place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oq.rules.board import Board
from oq.rules.fifo import Fifo
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig
from oq.words.messages import Delay, Job
from tests.support.builders import at, task_id

A, B, C = (task_id(n) for n in range(1, 4))
NOW = 0.0
READY, LATER = Place(5, "m"), Place(5, "m", at(10))


def board(*tasks: str, slots: int = 2, limits: tuple[int, ...] = (9,)) -> Board:
    """A board with these tasks ready, and backends b0, b1, ... of these limits."""
    fleet = Fleet([BackendSlots(f"b{n}", limit) for n, limit in enumerate(limits)])
    made = Board(slots, fleet, Fifo(fleet, SchedulerConfig()), paused=False)
    made.load((task, READY) for task in tasks)
    return made


def everything_next(made: Board) -> list[Job]:
    return [*made.starts(NOW)]


def test_no_more_tasks_run_than_there_are_slots():
    made = board(A, B, C)
    assert everything_next(made) == [Job(A, "b0"), Job(B, "b0")]
    made.free(A, NOW)
    assert everything_next(made) == [Job(C, "b0")]


def test_a_backend_takes_no_more_than_its_own_limit():
    made = board(A, B, C, slots=3, limits=(1, 1))
    assert everything_next(made) == [Job(A, "b0", elsewhere=True), Job(B, "b1", elsewhere=True)]


def test_a_slot_is_given_back_once():
    made = board(A)
    next(made.starts(NOW), None)
    made.free(A, NOW)
    with pytest.raises(KeyError):
        made.free(A, NOW)
    assert (made.running, made.backends[0].running) == (0, 0)


@pytest.mark.parametrize("place", [READY, LATER], ids=["ready", "delayed"])
@pytest.mark.parametrize("freed_first", [True, False])
def test_a_slot_that_frees_and_a_place_that_is_on_disk_may_be_told_in_either_order(
    freed_first, place
):
    made = board(A)
    next(made.starts(NOW), None)
    if freed_first:
        made.free(A, NOW)
        assert made.is_settling(A)
        made.place(A, place)
    else:
        made.place(A, place)
        assert made.is_running(A), "its slot is not free yet"
        made.free(A, NOW)
    assert made.is_waiting(A)
    assert not made.is_running(A)
    assert not made.is_settling(A)
    assert next(made.starts(NOW), None) == (Job(A, "b0") if place is READY else None)


@pytest.mark.parametrize("freed_first", [True, False])
def test_a_task_that_has_ended_leaves_the_board_in_either_order(freed_first):
    made = board(A)
    next(made.starts(NOW), None)
    free = partial(made.free, now=NOW)
    for step in (free, made.end) if freed_first else (made.end, free):
        step(A)
    assert [made.is_waiting(A), made.is_running(A), made.is_settling(A)] == [False] * 3
    assert next(made.starts(NOW), None) is None


def test_a_settling_task_neither_runs_nor_waits():
    made = board(A, B)
    made.settle(A)
    assert made.is_settling(A)
    assert made.position(A) is None
    assert everything_next(made) == [Job(B, "b0")]


def test_a_delayed_task_waits_for_its_own_time_only():
    made = board()
    made.place(A, LATER)
    made.ready([Delay(A, at(9)), Delay(B, at(10))])
    assert next(made.starts(NOW), None) is None, "that was the time of another delay"
    made.ready([Delay(A, at(10))])
    assert next(made.starts(NOW), None) == Job(A, "b0")


def test_a_time_that_comes_too_late_wakes_nothing():
    made = board()
    made.place(A, LATER)
    made.settle(A)
    made.ready([Delay(A, at(10))])
    assert next(made.starts(NOW), None) is None, "it was being cancelled"
    made.end(A)
    made.ready([Delay(A, at(10))])
    assert next(made.starts(NOW), None) is None, "it was cancelled"


def test_a_task_that_is_due_is_not_put_in_line_twice():
    made = board()
    made.place(A, LATER)
    made.ready([Delay(A, at(10)), Delay(A, at(10))])
    assert everything_next(made) == [Job(A, "b0")]


def test_a_retry_whose_time_comes_before_its_slot_is_free_is_next_in_line():
    made = board(A)
    next(made.starts(NOW), None)
    made.place(A, LATER)
    made.ready([Delay(A, at(9))])
    assert made.waits(Delay(A, at(10)))
    assert not made.waits(Delay(A, at(9))), "that was the time of another delay"
    made.ready([Delay(A, at(10))])
    assert not made.waits(Delay(A, at(10)))
    made.free(A, NOW)
    assert next(made.starts(NOW), None) == Job(A, "b0")


def test_a_backend_that_is_down_gets_nothing_until_it_is_up():
    made = board(A)
    assert made.mark_down("b0", "connection refused", at(0)) is True
    assert made.mark_down("b0", "connection refused again", at(1)) is False, "that is no news"
    assert next(made.starts(NOW), None) is None
    assert made.backends[0].down == "connection refused again"
    made.mark_up("b0", NOW)
    assert next(made.starts(NOW), None) == Job(A, "b0")


def test_the_first_backend_that_can_is_the_one_that_does():
    made = board(A, B, slots=3, limits=(9, 9))
    made.mark_down("b0", "gone", at(0))
    assert next(made.starts(NOW), None) == Job(A, "b1")
    made.mark_up("b0", NOW)
    assert next(made.starts(NOW), None) == Job(B, "b0", elsewhere=True)


def test_an_abort_is_news_once_and_only_for_what_runs():
    made = board(A)
    with pytest.raises(KeyError):
        made.abort(A)
    next(made.starts(NOW), None)
    assert made.abort(A) is True
    assert made.abort(A) is False


@pytest.mark.parametrize("halt", ["paused", "draining"])
def test_nothing_starts_while_paused_or_draining(halt):
    made = board(A)
    setattr(made, halt, True)
    assert next(made.starts(NOW), None) is None
    assert made.position(A) == 1, "it keeps its place"
    setattr(made, halt, False)
    assert next(made.starts(NOW), None) == Job(A, "b0")


def test_recovery_puts_each_task_where_it_was():
    made = board(slots=9)
    made.load([(A, Place(1, "m")), (B, Place(9, "m")), (C, Place(9, "m", at(10), retrying=True))])
    assert made.by_priority() == {1: 1, 9: 2}
    assert (len(made.delayed), made.delayed.retrying) == (1, 1)
    assert everything_next(made) == [Job(B, "b0"), Job(A, "b0")]
    assert made.is_waiting(C)


# -- any story of a board, against what it ought to know


@dataclass
class Known:
    """One live task as the test knows it. `told` is what the disk said of it while it ran."""

    place: Place
    where: str
    backend: str = ""
    told: str = ""


class BoardMachine(RuleBasedStateMachine):
    """Everything that the scheduler ever tells its board, in any order in which it can come."""

    LIMITS = (1, 2)

    @initialize(slots=st.integers(1, 4))
    def start(self, slots):
        self.board = board(slots=slots, limits=self.LIMITS)
        self.tasks: dict[str, Known] = {}
        self.down: set[str] = set()
        self.count = 0

    def those(self, *where: str) -> list[str]:
        return sorted(task for task, known in self.tasks.items() if known.where in where)

    def draw_one(self, data, *where: str) -> str | None:
        found = self.those(*where)
        return data.draw(st.sampled_from(found)) if found else None

    def lands(self, task: str, place: Place) -> None:
        known = self.tasks[task]
        known.place, known.where = place, "delayed" if place.run_at else "ready"

    places = st.builds(
        Place, st.integers(0, 3), st.sampled_from("mn"), st.none() | st.integers(1, 3).map(at)
    )

    @rule(place=places)
    def submit(self, place):
        self.count += 1
        task = task_id(self.count)
        self.tasks[task] = Known(place, "")
        self.board.place(task, place)
        self.lands(task, place)

    @rule()
    def dispatch(self):
        ready = sorted(
            self.those("ready"), key=lambda task: (-self.tasks[task].place.priority, task)
        )
        job = next(self.board.starts(NOW), None)
        running = self.those("running")
        used = [self.tasks[task].backend for task in running]
        usable = [
            name
            for name, limit in zip(("b0", "b1"), self.LIMITS, strict=True)
            if name not in self.down and used.count(name) < limit
        ]
        if not ready or not usable or len(running) >= self.board.slots:
            assert job is None
        else:
            assert (job.task_id, job.backend) == (ready[0], usable[0])
            self.tasks[ready[0]] = Known(self.tasks[ready[0]].place, "running", usable[0])

    @rule(data=st.data())
    def slot_is_freed(self, data):
        if task := self.draw_one(data, "running"):
            known = self.tasks[task]
            self.board.free(task, NOW)
            if known.told == "end":
                del self.tasks[task]
            elif known.told == "place":
                self.lands(task, known.place)
            else:
                known.where = "settling"

    @rule(data=st.data(), place=places)
    def next_place_is_on_disk(self, data, place):
        if task := self.draw_one(data, "running", "settling"):
            known = self.tasks[task]
            if known.told:
                return
            self.board.place(task, place)
            if known.where == "running":
                known.told, known.place = "place", place
            else:
                self.lands(task, place)

    @rule(data=st.data())
    def end_is_on_disk(self, data):
        if task := self.draw_one(data, "running", "settling"):
            known = self.tasks[task]
            if known.told:
                return
            self.board.end(task)
            if known.where == "running":
                known.told = "end"
            else:
                del self.tasks[task]

    @rule(data=st.data())
    def a_user_asks_something_of_it(self, data):
        if task := self.draw_one(data, "ready", "delayed"):
            self.board.settle(task)
            self.tasks[task].where = "settling"

    @rule(seconds=st.integers(1, 3))
    def a_time_comes(self, seconds):
        self.board.ready([Delay(task, at(seconds)) for task in self.tasks])
        for task in self.those("delayed"):
            if self.tasks[task].place.run_at == at(seconds):
                self.tasks[task].where = "ready"
        for task in self.those("running"):
            known = self.tasks[task]
            if known.told == "place" and known.place.run_at == at(seconds):
                known.place = Place(known.place.priority, known.place.model)

    @rule(name=st.sampled_from(["b0", "b1"]))
    @precondition(lambda self: len(self.down) < 2)
    def backend_goes_down(self, name):
        assert self.board.mark_down(name, "gone", at(0)) is (name not in self.down)
        self.down.add(name)

    @rule(name=st.sampled_from(["b0", "b1"]))
    def backend_comes_up(self, name):
        self.board.mark_up(name, NOW)
        self.down.discard(name)

    @rule()
    def models_are_asked_for(self):
        found = self.board.by_model(NOW)
        waiting = Counter(self.tasks[task].place.model for task in self.those("ready", "delayed"))
        assert {model: one.waiting for model, one in found.items() if one.waiting} == waiting
        assert sum(one.running for one in found.values()) == len(self.those("running"))

    @invariant()
    def every_task_is_in_its_one_place(self):
        for task, known in self.tasks.items():
            assert self.board.is_waiting(task) is (known.where in ("ready", "delayed"))
            assert self.board.is_running(task) is (known.where == "running")
            assert self.board.is_settling(task) is (known.where == "settling")
            assert (self.board.position(task) is not None) is (known.where == "ready")

    @invariant()
    def slots_are_counted_right(self):
        running = [self.tasks[task].backend for task in self.those("running")]
        assert self.board.running == len(running) <= self.board.slots
        for slots in self.board.backends:
            assert slots.running == running.count(slots.name) <= slots.limit

    @invariant()
    def waiting_tasks_are_counted_right(self):
        waiting = [self.tasks[task].place.priority for task in self.those("ready", "delayed")]
        assert self.board.by_priority() == {p: waiting.count(p) for p in waiting}
        assert len(self.board.delayed) == len(self.those("delayed"))


TestBoard = BoardMachine.TestCase
