"""What a backend says of its slots and of its memory, and what follows for the tasks that start."""

from __future__ import annotations

import pytest

from oq.rules.known_at_first import GUESSED
from oq.rules.place import Place
from oq.rules.shown_slots import slots_of
from oq.rules.slots import BackendSlots
from oq.words.messages import Busy, Ended
from oq.words.views import BackendFacts
from tests.support.builders import task_id

A = Place(5, "a")


def starts(box: BackendSlots, place: Place = A, first: int = 0) -> int:
    """How many tasks start at once. They have the numbers from `first` on."""
    number = first
    while box.room(place, 9.0).starts:
        box.take(task_id(number), place, 9.0)
        number += 1
    return number - first


@pytest.mark.parametrize("loaded", [None, ("a",)])
def test_how_many_it_serves_at_once_may_be_told_late_and_again(loaded):
    box = BackendSlots("box", 64, "guessed")
    box.note_facts(BackendFacts(loaded=loaded), 0.0)
    for time in (1.0, 2.0):
        box.note_facts(BackendFacts(loaded=loaded, slots=3), time)
        assert box.source == "told"
    assert starts(box) == 3


def test_it_may_serve_another_number_later():
    box = BackendSlots("box", 64, "guessed")
    box.note_facts(BackendFacts(slots=3), 0.0)
    box.note_facts(BackendFacts(slots=5), 1.0)
    assert starts(box) == 5


def test_each_model_has_the_number_that_is_told_of_it():
    box = BackendSlots("box", 64, "guessed")
    digests = {"a": "a", "small": "a", "b": "b", "c": "c"}
    box.note_facts(BackendFacts(4, ("a",), digests, slots_of={"a": 4}), 0.0)
    assert starts(box, Place(5, "small")) == 4
    box.note_facts(BackendFacts(1, ("a", "b", "c"), digests, slots_of={"a": 4, "b": 1}), 1.0)
    assert starts(box, Place(5, "b"), 10) == 1
    assert starts(box, Place(5, "c"), 20) == 1, "as few as any, as long as it is not told"
    assert {one.model: one.slots for one in slots_of(box)} == {"small": 4, "b": 1, "c": 1}
    box.note_facts(BackendFacts(1, ("a", "b"), digests, slots_of={"a": 4, "b": 1, "c": 2}), 1.0)
    assert starts(box, Place(5, "c"), 30) == 1, "it has two now"


def test_what_is_found_of_a_model_is_kept_when_a_number_of_another_one_is_told():
    box = BackendSlots("box", 64, "guessed")
    box.note_facts(BackendFacts(4, ("a",), slots_of={"a": 4}), 0.0)
    box.key(A)
    known = box.concurrency_of(A)
    assert known is not None
    known.restore(2, 4, 0.0, 4)
    box.note_facts(BackendFacts(1, ("a", "b"), slots_of={"a": 4, "b": 1}), 1.0)
    assert (known.served, known.refused) == (2, 4)


RESTARTED = 5.0


def told(facts: BackendFacts, later: BackendFacts, *, restarted: bool = True) -> BackendSlots:
    """It says this, and later something else."""
    box = BackendSlots("box", 64, "guessed")
    box.note_facts(facts, 0.0)
    if restarted:
        box.restarted(RESTARTED)
    box.note_facts(later, RESTARTED)
    return box


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("loaded", [None, ("a",)])
def test_a_number_that_it_does_not_tell_any_more_after_a_restart_is_forgotten(number, loaded):
    box = told(BackendFacts(number, loaded), BackendFacts(loaded=loaded))
    assert (box.source, box.limit) == ("guessed", 64)
    assert starts(box) == GUESSED
    box.note_facts(BackendFacts(number, loaded), RESTARTED)
    assert box.source == "told"


def test_what_runs_then_still_counts():
    box = BackendSlots("box", 64, "guessed")
    box.note_facts(BackendFacts(3, ("a",)), 0.0)
    box.restarted(RESTARTED)
    box.take(task_id(100), A, RESTARTED)
    box.note_facts(BackendFacts(loaded=("a",)), RESTARTED)
    assert starts(box) == GUESSED - 1


@pytest.mark.parametrize(
    ("later", "restarted"),
    [
        (BackendFacts(loaded=("a",)), False),
        (BackendFacts(incomplete=True), True),
        (BackendFacts(loaded=()), True),
    ],
    ids=["it was not restarted", "it did not answer", "no model to tell it of"],
)
def test_a_number_that_it_told_holds_while_it_may_tell_it_still(later, restarted):
    box = told(BackendFacts(3, ("a",)), later, restarted=restarted)
    assert box.source == "told"
    box.note_facts(BackendFacts(loaded=("a",)), RESTARTED)
    assert box.source == ("guessed" if restarted else "told")


@pytest.mark.parametrize(
    ("later", "room"),
    [
        (BackendFacts(loaded=()), None),
        (BackendFacts(loaded=(), max_models=2), 2),
        (BackendFacts(loaded=(), incomplete=True), 1),
    ],
)
def test_how_many_models_have_room_is_forgotten_if_it_does_not_tell_it_any_more(later, room):
    box = told(BackendFacts(loaded=(), max_models=1), later)
    assert box.residency is not None
    assert box.residency.most == room


@pytest.mark.parametrize(("told", "expected"), [(1, 1), (2, 2), (None, 2)])
def test_how_many_models_have_room_is_told_if_the_settings_say_nothing(told, expected):
    box = BackendSlots("box", 64, "guessed", max_models=2 if told is None else None)
    box.note_facts(BackendFacts(loaded=(), max_models=told or 7), 0.0)
    assert box.residency is not None
    assert box.residency.most == expected


@pytest.mark.parametrize(
    ("digests", "names"),
    [
        ([{"a": "one"}], "a"),
        ([{"a": "one"}, {"a": "two"}], "a"),
        ([{"a": "one", "b": "one"}], "ab"),
    ],
    ids=["told late", "pulled anew", "two names"],
)
def test_a_model_that_is_held_stays_the_same_when_its_digest_becomes_known(digests, names):
    box = BackendSlots("box", 64, "guessed")
    box.outages.wedged(box.model("a"), "t", 0.0)
    for facts in digests:
        box.note_facts(BackendFacts(digests=facts), 1.0)
    assert [box.failing(Place(5, name)) is not None for name in names] == [True] * len(names)
    assert box.failing(Place(5, "other")) is None
    box.outages.answered(box.model(names[-1]))
    assert box.outages.quiet


def test_failures_before_and_after_its_digest_became_known_are_of_one_model():
    box = BackendSlots("box", 64, "guessed")
    for number in range(3):
        box.outages.failed(f"t{number}", box.model("a"), "broken", float(number))
        box.note_facts(BackendFacts(digests={"a": "one"}), float(number))
    assert box.failing(A) is not None


@pytest.mark.parametrize("asked", [None, 7.0])
def test_a_busy_backend_is_tried_at_most_three_times_in_three_pauses(asked):
    box = BackendSlots("box", 64, "set")
    now, tried = 0.0, list[float]()
    for number in range(12):
        task, busy = task_id(number), Busy("full", asked)
        assert box.room(A, now).starts
        box.take(task, A, now)
        box.try_out(task, A, now)
        box.give_back(task, now)
        box.note_end(task, A, Ended(busy=busy), now)
        box.hold(busy, now, lambda times, seconds: seconds or 2.0 ** (times - 1))
        now = box.due(now)
        box.settle_time(now)
        tried.append(now)
    assert tried[0] <= 7.0
    for begin in tried:
        assert sum(begin <= at < begin + 60.0 for at in tried) <= 3


def test_a_longer_wish_of_a_backend_that_is_held_already_is_heard():
    box = BackendSlots("box", 64, "set")
    for seconds in (3.0, None, 20.0, 5.0):
        box.hold(Busy("full", seconds), 0.0, lambda _, asked: asked or 1.0)
    assert box.held is not None
    assert box.held.until == 20.0


def test_a_backend_that_was_busy_a_day_ago_is_tried_soon_again():
    box = BackendSlots("box", 64, "set")
    for number in range(9):
        task = task_id(number)
        box.try_out(task, A, 60.0 * number)
        box.note_end(task, A, Ended(busy=Busy("full", None)), 60.0 * number)
    box.note_end("served", A, Ended(served=True), 1000.0)
    box.hold(Busy("full", None), 90_000.0, lambda times, _: float(times))
    assert box.due(90_000.0) == 90_001.0


def test_the_model_that_is_held_is_the_one_whose_digest_stays():
    box = BackendSlots("box", 64, "guessed")
    box.note_facts(BackendFacts(digests={"a": "one", "z": "one"}), 0.0)
    box.outages.wedged(box.model("a"), "t", 0.0)
    box.note_facts(BackendFacts(digests={"a": "one", "z": "two"}), 1.0)
    assert box.failing(A) is not None
    assert box.failing(Place(5, "z")) is None
