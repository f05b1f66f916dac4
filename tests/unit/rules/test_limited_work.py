"""When tasks start where models have limits: those that wait for one are no work before others."""

from __future__ import annotations

import pytest

from oq.rules import limited_work
from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.words.config import ReserveConfig
from oq.words.views import BackendFacts
from tests.unit.rules.test_forecast import Queue

BIG, SMALL = "big:70b", "small"
TOOK = 2.0


def queue(*, affinity: bool = False, **limits: int) -> Queue:
    """Before a box with four slots, after a task of each model."""
    box = BackendSlots("box", 4, model_limits={BIG: 1} | limits)
    made = Queue(box, affinity=affinity, took=TOOK)
    made.add(model=BIG)
    made.add(model=SMALL)
    made.run(2)
    return made


@pytest.mark.parametrize("affinity", [False, True])
def test_what_passes_all_that_wait_is_told_no_wait(affinity):
    made = queue(affinity=affinity)
    made.add(50, BIG, priority=10)
    made.start()
    assert made.forecast.of_next(Place(5, SMALL), made.now) is None
    assert made.forecast.of_next(Place(5, BIG), made.now) is not None
    made.add(4, SMALL, priority=10)
    made.start()
    assert made.forecast.of_next(Place(5, SMALL), made.now) is not None, "all slots are taken"


def test_a_free_slot_that_others_wait_for_is_not_taken_at_once():
    """The memory holds one model, and another one is next."""
    made = Queue(BackendSlots("box", 4, max_models=1, model_limits={BIG: 2}), took=TOOK)
    made.add(model=BIG)
    made.run(1)
    made.add(1, BIG)
    made.start()
    made.add(1, SMALL, priority=10)
    made.start()
    assert made.forecast.of_next(Place(15, BIG), made.now) is None, "it is before that one"
    assert made.forecast.of_next(Place(5, BIG), made.now) is not None


def test_of_very_many_models_in_line_it_is_not_known_who_passes(monkeypatch):
    made = queue(**{"x*": 1})
    made.add(2, "x1")
    made.add(2, "x2")
    made.start()
    assert made.forecast.of_next(Place(5, SMALL), made.now) is None
    monkeypatch.setattr(limited_work, "KINDS", 1)
    assert made.forecast.of_next(Place(5, SMALL), made.now) is not None


def test_a_task_waits_for_those_of_its_model_at_its_limit():
    made = queue()
    made.add(3, SMALL)
    last = made.add(10, BIG)
    made.start()
    starts = made.starts(last).p50
    assert starts == pytest.approx(9 * TOOK, rel=0.01), "one runs, and eight are before it"
    above = made.add(5, BIG, priority=10)
    assert made.starts(above).p50 == pytest.approx(5 * TOOK, rel=0.01)
    assert made.starts(last).p50 == pytest.approx(14 * TOOK, rel=0.01)


def test_those_that_wait_for_a_limit_are_no_work_before_one_that_waits_for_a_slot():
    made = queue()
    made.add(1000, BIG)
    made.add(3, SMALL)
    made.start()
    last = made.add(4, SMALL)
    assert made.starts(last).p50 < 10 * TOOK, "and not a thousand tasks later"


def test_those_whose_model_is_below_its_limit_are():
    made = queue(**{BIG: 3})
    made.add(1, BIG)
    made.add(3, SMALL)
    made.start()
    made.add(100, BIG)
    last = made.add(1, SMALL)
    assert made.starts(last).p50 > 20 * TOOK


@pytest.mark.parametrize("limits", [None, {"z": 1}, {BIG: 4}])
def test_a_free_slot_of_a_higher_tier_is_not_had_at_once(limits):
    cloud = BackendSlots("cloud", 8, tier=1, overflow_after=3600.0, model_limits=limits)
    made = Queue(BackendSlots("box", 1), cloud, took=TOOK)
    for name in ("box", "cloud"):
        made.board.note_facts(name, BackendFacts(models=(BIG,)), 0.0)
    made.add(55, BIG)
    made.run(5)
    estimate = made.forecast.of_next(Place(5, BIG), made.now)
    assert estimate is not None
    assert estimate.starts.p50 > 10 * TOOK


def test_a_free_slot_that_is_kept_for_others_is_not_had_at_once():
    box = BackendSlots("box", 2, model_limits={"a": 1})
    made = Queue(box, reserve=[ReserveConfig("high", 1)], took=TOOK)
    made.add(model="a")
    made.run(1)
    made.add(3, "a")
    made.start()
    assert made.forecast.of_next(Place(5, "b"), made.now) is not None


@pytest.mark.parametrize("first", ["a", "a:latest"])
@pytest.mark.parametrize("mine", ["a", "a:latest"])
def test_both_names_of_a_model_wait_for_its_limit(first, mine):
    made = Queue(BackendSlots("box", 4, model_limits={"a": 1}), took=TOOK)
    made.add(110, first)
    made.run(10)
    estimate = made.forecast.of_next(Place(5, mine), made.now)
    assert estimate is not None
    assert estimate.starts.p50 == pytest.approx(100 * TOOK)


def test_without_limits_those_before_it_are_waited_for():
    """Though there is a slot."""
    made = Queue(BackendSlots("box", 4, max_models=1), took=TOOK)
    made.add(model=BIG)
    made.run(1)
    made.add(1, BIG)
    made.start()
    made.add(1, SMALL, priority=10)
    made.start()
    assert made.forecast.of_next(Place(5, BIG), made.now) is not None
