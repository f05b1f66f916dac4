"""How a backend was lately: down, held, wedged, or busy with a load."""

from __future__ import annotations

from oq.rules.backend_past import KEPT, BackendPast
from oq.rules.place import Place
from oq.rules.room import Hold
from oq.rules.shown_slots import note_past
from oq.rules.slots import BackendSlots

ALPHA, BETA = Place(5, "alpha"), Place(5, "beta")


def kinds(past: BackendPast, since: float = 0.0) -> list[tuple[str, float, float | None]]:
    return [(span.kind, span.since, span.until) for span in past.since(since)]


def test_one_that_is_well_has_no_past():
    box = BackendSlots("box", 2)
    note_past([box], 1.0)
    assert kinds(box.past) == []


def test_down_lasts_until_it_is_up():
    box = BackendSlots("box", 2)
    box.down = "connection refused"
    note_past([box], 1.0)
    note_past([box], 2.0)
    assert kinds(box.past) == [("down", 1.0, None)]
    box.down = None
    note_past([box], 3.0)
    note_past([box], 4.0)
    assert kinds(box.past) == [("down", 1.0, 3.0)]
    assert kinds(box.past, 3.5) == []
    assert box.past.since(0.0)[0].reason == "connection refused"


def test_a_hold_is_one_span_whatever_its_reason_is_meanwhile():
    box = BackendSlots("box", 2)
    box.held = Hold("it is busy: no room", 9.0)
    note_past([box], 1.0)
    box.held = Hold("it is busy: still no room", 19.0)
    note_past([box], 2.0)
    box.held = None
    note_past([box], 3.0)
    assert kinds(box.past) == [("held", 1.0, 3.0)]
    assert box.past.since(0.0)[0].reason == "it is busy: still no room"


def test_a_wedged_model_is_told_from_a_hold():
    box = BackendSlots("box", 2)
    box.outages.wedged("beta", None, 0.0)
    note_past([box], 1.0)
    box.outages.answered("beta")
    note_past([box], 2.0)
    assert kinds(box.past) == [("wedged", 1.0, 2.0)]


def test_loads_and_swaps_are_told_apart_and_name_the_model():
    box = BackendSlots("box", 2, max_models=1)
    box.take("t1", ALPHA, 0.0)
    note_past([box], 0.0)
    box.answered("t1", ALPHA, 1.0)
    note_past([box], 2.0)
    box.give_back("t1", 3.0)
    note_past([box], 3.0)
    box.take("t2", BETA, 4.0)
    note_past([box], 4.0)
    assert kinds(box.past) == [("load", 0.0, 2.0), ("swap", 4.0, None)]
    assert [span.reason for span in box.past.since(0.0)] == ["alpha", "beta"]


def test_the_past_is_bounded():
    box = BackendSlots("box", 2)
    for number in range(2 * KEPT):
        box.down = "gone" if number % 2 else None
        note_past([box], float(number))
    assert len(box.past.since(0.0)) <= KEPT + 1
    assert box.past.since(0.0)[-1].since == 2 * KEPT - 1
