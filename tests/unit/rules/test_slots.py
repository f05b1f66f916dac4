"""What a backend says of its slots and of its memory, and what follows for the tasks that start."""

from __future__ import annotations

import pytest

from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.words.views import BackendFacts
from tests.support.builders import task_id

A = Place(5, "a")


def starts(box: BackendSlots, place: Place = A) -> int:
    """How many tasks start at once."""
    number = 0
    while box.room(place, 9.0).starts:
        box.take(task_id(number), place, 9.0)
        number += 1
    return number


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


@pytest.mark.parametrize(("told", "expected"), [(1, 1), (2, 2), (None, 2)])
def test_how_many_models_have_room_is_told_if_the_settings_say_nothing(told, expected):
    box = BackendSlots("box", 64, "guessed", max_models=2 if told is None else None)
    box.note_facts(BackendFacts(loaded=(), max_models=told or 7), 0.0)
    assert box.residency is not None
    assert box.residency.most == expected
