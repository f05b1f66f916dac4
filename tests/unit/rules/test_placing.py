"""On which of several backends a task starts, and for which one it waits."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import pytest

from oq.rules import bands
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.placing import place_on
from oq.rules.policies import POLICIES
from oq.rules.room import Room
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig
from oq.words.messages import Ended
from oq.words.views import BackendFacts
from tests.support.builders import task_id


def box(name: str, *loaded: str, max_models: int | None = 1, runs: int = 0) -> BackendSlots:
    """A backend with these models in memory, and so many tasks of the first one."""
    slots = BackendSlots(name, 9, max_models=max_models)
    slots.note_facts(BackendFacts(loaded=loaded), 0.0)
    for n in range(runs):
        slots.take(f"{name} {n}", Place(5, loaded[0]), 0.0)
    return slots


def learning(name: str, served: int, runs: int) -> BackendSlots:
    """A backend of which it is being learnt how many it serves at once."""
    slots = BackendSlots(name, 16, "guessed")
    assert slots.concurrency is not None
    slots.concurrency.served = served
    for n in range(runs):
        slots.take(f"{name} {n}", Place(5, "a"), 0.0)
    return slots


BUSY = {"runs": 2}


@pytest.mark.parametrize(
    ("backends", "chosen"),
    [
        ([box("other", "b"), box("empty"), box("warm", "a")], ("warm", Room.WARM)),
        ([box("other", "b"), box("empty")], ("empty", Room.COLD)),
        ([box("busy", "b", **BUSY), box("room", "b", max_models=2)], ("room", Room.COLD)),
        ([box("other", "b"), box("unknown", "b", max_models=None)], ("unknown", Room.COLD)),
        ([box("busy", "b", **BUSY), box("one", "b"), box("two", "c")], ("one", Room.SWAP)),
        ([box("two run", "b", **BUSY), box("one runs", "b", runs=1)], ("one runs", Room.DRAINING)),
        ([box("two", "a", **BUSY), box("one", "a", runs=1)], ("one", Room.WARM)),
        ([box("first", "a", runs=1), box("second", "a", runs=1)], ("first", Room.WARM)),
        ([box("warm", "a", **BUSY), box("empty")], ("warm", Room.WARM)),
        (
            [box("two", "b", max_models=2, **BUSY), box("one", "b", max_models=2, runs=1)],
            ("one", Room.COLD),
        ),
        ([learning("serves 4", 4, 3), learning("serves 8", 8, 4)], ("serves 8", Room.WARM)),
        ([learning("serves 1", 1, 1), learning("serves 8", 8, 7)], ("serves 8", Room.WARM)),
    ],
)
def test_a_task_starts_where_the_least_has_to_be_done_for_it(backends, chosen):
    backend, room = place_on(backends, Place(5, "a"), 0.0)
    assert (backend.name, room) == chosen
    assert room.starts is (room is not Room.DRAINING)


def test_it_does_not_start_where_others_wait():
    other, empty = box("other", "b"), box("empty")
    assert place_on([other, empty], Place(5, "a"), 0.0, [empty]) == (other, Room.SWAP)
    assert place_on([other, empty], Place(5, "a"), 0.0, [other, empty]) == (None, Room.CLOSED)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the backends that are asked what room they have, each time."""
    names: list[str] = []
    room = BackendSlots.room

    def counted(self: BackendSlots, place: Place, now: float) -> Room:
        names.append(self.name)
        return room(self, place, now)

    monkeypatch.setattr(BackendSlots, "room", counted)
    return names


def test_of_many_that_run_as_many_the_best_is_found_without_asking_each_what_it_can_do(asked):
    boxes = [box(f"box{n}", "a", runs=3) for n in range(49)] + [box("last", "a", runs=2)]
    assert place_on(boxes, Place(5, "a"), 0.0) == (boxes[-1], Room.WARM)
    assert asked == ["box0", "last"]


def test_a_conversation_stays_where_it_was_as_long_as_there_is_a_slot():
    one, two = box("one", "a", runs=4), box("two", "a", runs=8)
    place = Place(5, "a", conversation=1)
    assert place_on([one, two], place, 0.0, last=two) == (two, Room.WARM)
    assert place_on([one, two], place, 0.0, [two], last=two) == (one, Room.WARM)
    assert place_on([one], place, 0.0, last=two) == (one, Room.WARM)
    two.take("ninth", place, 0.0)
    assert place_on([one, two], place, 0.0, last=two) == (one, Room.WARM)
    assert place_on([one, box("three", "b")], place, 0.0, last=box("three")) == (one, Room.WARM)
    cold = box("cold", "b")
    assert place_on([one, cold], place, 0.0, last=cold) == (one, Room.WARM)


def test_a_conversation_leaves_a_backend_that_has_much_more_to_do():
    place = Place(5, "a", conversation=1)
    two = box("two", "a", runs=5)
    assert place_on([box("one", "a"), two], place, 0.0, last=two)[0] is not two
    assert place_on([box("one", "a", runs=1), two], place, 0.0, last=two)[0] is two
    assert place_on([box("one", "b"), two], place, 0.0, last=two)[0] is two, "it has to load there"


def test_a_conversation_leaves_a_backend_that_failed_it():
    fleet = Fleet([BackendSlots(name, 2) for name in ("good", "broken")], 100)
    board = Board(9, fleet, POLICIES["fifo"](fleet, SchedulerConfig()), paused=False)
    board.place(task_id(1), Place(5, "a"))
    board.place(task_id(2), Place(5, "a", conversation=7))
    assert [next(board.starts(0.0), None).backend for _ in range(2)] == ["good", "broken"]
    board.end(task_id(1))
    board.free(task_id(1), 1.0)
    board.free(task_id(2), 1.0, Ended(failed="500"))
    board.place(task_id(2), Place(5, "a", conversation=7))
    assert next(board.starts(1.0), None).backend == "good"


def test_a_task_is_not_tried_as_one_more_for_the_sake_of_its_conversation():
    full, free = learning("full", 4, 4), learning("free", 4, 3)
    assert full.concurrency is not None
    full.concurrency.restore(4, None, 0.0)
    assert full.room(Place(5, "a"), 999.0) is Room.WARM, "one more may be tried"
    assert place_on([full, free], Place(5, "a"), 999.0, last=full) == (free, Room.WARM)


@pytest.mark.parametrize("policy", ["fifo", "affinity"])
def test_the_next_task_of_a_conversation_goes_where_the_last_one_went(policy):
    fleet = Fleet([BackendSlots(name, 4) for name in ("one", "two", "three")], 100)
    board = Board(
        99, fleet, POLICIES[policy](fleet, SchedulerConfig(affinity=policy == "affinity")),
        paused=False,
    )  # fmt: skip
    for n, conversation in enumerate([1, 2, 3, 2, 3, 3, 0, 1]):
        board.place(task_id(n), Place(5, "a", conversation=conversation))
    jobs = list(board.starts(0.0))
    assert [job.backend for job in jobs] == [
        "one", "two", "three", "two", "three", "three", "one", "one",
    ]  # fmt: skip


def test_two_that_are_alike_are_filled_evenly_and_a_task_goes_where_one_has_ended():
    fleet = Fleet([BackendSlots(name, 4) for name in ("one", "two")])
    board = Board(99, fleet, POLICIES["fifo"](fleet, SchedulerConfig()), paused=False)
    tasks = [task_id(n) for n in range(9)]
    for task in tasks:
        board.place(task, Place(5, "a"))
    jobs = list(board.starts(0.0))
    assert [job.backend for job in jobs] == ["one", "two"] * 4
    board.end(tasks[3])
    assert board.free(tasks[3], 1.0) is None
    job = next(board.starts(1.0), None)
    assert job is not None
    assert (job.task_id, job.backend) == (tasks[8], "two")


@pytest.mark.parametrize("many", [bands.MANY, 0], ids=["few kinds", "many kinds"])
def test_a_task_that_was_passed_over_for_too_long_waits_for_one_backend_and_not_for_all_in_turns(
    many: int, monkeypatch: pytest.MonkeyPatch
):
    """Else neither would ever be drained, as long as tasks come for the model that both have."""
    monkeypatch.setattr(bands, "MANY", many)
    boxes = [box(name, "b") for name in ("one", "two")]
    fleet = Fleet(boxes)
    policy = POLICIES["affinity"](fleet, SchedulerConfig(affinity=True, max_bypass=10.0))
    board = Board(99, fleet, policy, paused=False)
    ids = map(task_id, count(1))

    def starts(now: float) -> list[str]:
        return [job.backend for job in board.starts(now)]

    def add(model: str) -> str:
        task = next(ids)
        board.place(task, Place(5, model))
        return task

    before = [add("b") for _ in range(12)]
    assert starts(0.0) == ["one", "two"] * 6
    add("a")
    assert starts(1.0) == []
    for task in before[:8:2]:
        board.end(task)
        board.free(task, 12.0)
    began = []
    for n in range(4):
        add("b")
        began += starts(12.0 + n)
    assert len({*began}) == 1, "the other one is to be empty"


@pytest.mark.parametrize("trouble", ["down", "held", "paused"])
def test_a_task_that_cannot_run_does_not_use_up_the_bound_of_those_behind_it(trouble):
    """Else nobody behind it would be the oldest, and those of the model in memory would pass for
    ever.
    """
    one, two = box("one", "b"), box("two", "x")
    one.note_facts(BackendFacts(models=("a", "b"), loaded=("b",)), 0.0)
    two.note_facts(BackendFacts(models=("x",), loaded=("x",)), 0.0)
    fleet = Fleet([one, two])
    policy = POLICIES["affinity"](fleet, SchedulerConfig(affinity=True, max_bypass=10.0))
    board = Board(99, fleet, policy, paused=False)
    if trouble == "down":
        board.mark_down("two", "refused", datetime(2026, 1, 1, tzinfo=UTC))
    elif trouble == "held":
        two.outages.wedged("x:latest", "a canary", 0.0)
        board._note_plain()
    else:
        board.pause_model("x", paused=True)
    for number, model in enumerate("xba", 1):
        board.place(task_id(number), Place(5, model))
    running: list[str] = []
    a_started = None
    for second in range(30):
        now = float(second)
        board.place(task_id(10 + second), Place(5, "b"))
        before, running = running, [job.task_id for job in board.starts(now)]
        if task_id(3) in running:
            a_started = second
            break
        for task in before:  # so one runs at any time
            board.end(task)
            board.free(task, now, Ended(served=True))
    assert a_started == 11, "passed over for 10 s, and then it waited for what ran"
