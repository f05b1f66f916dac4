"""What rules remember of names that users make up is bounded, and to forget it changes nothing."""

from __future__ import annotations

import pytest

from oq.rules import fleet as fleets
from oq.rules import model_limits, residency, slots
from oq.rules.fleet import Fleet
from oq.rules.history import FINE, WINDOWS, History
from oq.rules.model_limits import ModelLimits
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.rules.token_flow import TokenFlow
from oq.words.views import BackendFacts
from tests.support.builders import at
from tests.unit.rules.test_residency import Story, place

FEW = 3
NAMES = [f"m{number}" for number in range(10)]


@pytest.fixture
def fleet(monkeypatch) -> Fleet:
    """One that has all of the models and one of a higher tier; it remembers few of them."""
    monkeypatch.setattr(fleets, "REMEMBERED", FEW)
    boxes = [BackendSlots("box", 1), BackendSlots("cloud", 1, tier=1)]
    for box in boxes:
        box.note_facts(BackendFacts(models=tuple(NAMES)), 0.0)
    return Fleet(boxes)


def test_who_has_a_model(fleet):
    box, cloud = fleet.backends
    for name in [*NAMES, *NAMES]:
        assert fleet.able(name, 0.0) == (box,)
        assert fleet.above(name) == (cloud,)
        assert fleet.elsewhere(name, box, 0.0)
    for kept in (fleet._able, fleet._above, fleet._elsewhere):
        assert 0 < len(kept) <= FEW


def test_the_limit_of_a_model(monkeypatch):
    monkeypatch.setattr(model_limits, "KEPT", FEW)
    limits = ModelLimits({"m*": 2})
    assert [limits.of(name) for name in [*NAMES, "x", *NAMES]] == [*[2] * 10, None, *[2] * 10]
    assert 0 < len(limits._known) <= FEW


def test_the_load_group_of_a_task(monkeypatch):
    monkeypatch.setattr(slots, "KEYS", FEW)
    box = BackendSlots("box", 1)
    keys = [box.key(Place(5, name)) for name in NAMES]
    assert len(set(keys)) == len(NAMES)
    assert [box.key(Place(5, name)) for name in NAMES] == keys
    assert 0 < len(box._keys) <= FEW


def test_models_that_left_the_memory(monkeypatch):
    """But not those that are in it, or that tasks run with."""
    monkeypatch.setattr(residency, "KEPT", FEW)
    story = Story(slots=2, max_models=1)
    for name in NAMES:
        [task] = story.add(place(name))
        assert story.starts() == [task]
        story.answers(task)
        assert name in {group.name for group in story.slots.residency.loaded}
        story.ends(task)
    assert 0 < len(story.slots.residency.groups) <= FEW + 1
    assert [group.name for group in story.slots.residency.loaded] == NAMES[-1:]


def test_when_the_tokens_of_a_long_answer_came():
    """All are counted, though of the oldest it is not known any more when they came."""
    history = History()
    flow = TokenFlow(history)
    most = WINDOWS["15m"].buckets
    for number in range(most + 10):
        flow.came("x", "m", number + 1, at(number * FINE))
    [run] = flow._runs.values()
    assert len(run.parts) == most
    assert sum(point.tokens for point in history.points("24h", at(most * FINE))) == most + 10
