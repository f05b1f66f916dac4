"""Preemption for a critical task behind others that cannot start."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from oq.rules import recalls
from oq.rules.board import Board
from oq.rules.concurrency import Concurrency
from oq.rules.policies import POLICIES
from oq.words.config import to_config
from oq.words.messages import Recall
from oq.words.views import BackendFacts
from tests.support.builders import task_id
from tests.unit.rules.test_recalls import CRITICAL, LOW, NORMAL, A, B, C, D, Story, with_models

MANY = 70


class Behind(Story):
    """Many critical tasks of the model b, for which nobody can go, and then one of a. Its slots are
    held by low tasks.
    """

    def __init__(self, *limits: int, policy: str, models: tuple[str, ...] = (), **settings) -> None:
        scheduler = {"affinity": policy == "affinity", "reserve": settings.pop("reserve", [])}
        super().__init__(*limits, **settings)
        config = to_config({"scheduler": scheduler})
        policy = POLICIES[policy](self.fleet, config.scheduler, config.fairness)
        self.board = Board(self.board.slots, self.fleet, policy, paused=False, preempts=3)
        if models:
            with_models(self, *[(model,) for model in models])
        self.add(A, LOW, "a")
        self.add(B, LOW, "a")
        assert self.starts() == [A, B]

    def come(self) -> None:
        for n in range(100, 100 + MANY):
            self.add(task_id(n), CRITICAL, "b")
        self.add(task_id(200), CRITICAL, "a")
        assert self.starts() == []


def comes_through(story: Behind) -> None:
    """The one behind many others that cannot start has another go for it, and starts."""
    story.come()
    assert story.preempts() == [B]
    story.goes_back(B, model="a")
    assert story.starts() == [task_id(200)]


@pytest.mark.parametrize("workers", [2, 9])
@pytest.mark.parametrize("limits", [(2,), (2, 2)])
@pytest.mark.parametrize("policy", POLICIES)
def test_many_tasks_of_a_paused_model_hide_none_behind_them(policy, limits, workers):
    models = ("a", "b") if len(limits) > 1 else ()
    story = Behind(*limits, policy=policy, models=models, workers=workers)
    story.board.pause_model("b", paused=True)
    comes_through(story)


@pytest.mark.parametrize("policy", POLICIES)
def test_many_tasks_whose_backend_is_down_hide_none_behind_them(policy):
    story = Behind(2, 2, policy=policy, models=("a", "b"))
    story.board.mark_down("b1", "refused", datetime(2026, 1, 1, tzinfo=UTC))
    comes_through(story)


@pytest.mark.parametrize("policy", POLICIES)
def test_many_tasks_of_a_model_that_is_held_hide_none_behind_them(policy):
    story = Behind(2, policy=policy)
    (slots,) = story.fleet
    slots.outages.wedged("b:latest", None, 0.0)
    story.board._note_plain()
    comes_through(story)


@pytest.mark.parametrize("policy", POLICIES)
def test_many_tasks_that_wait_for_one_that_stays_hide_none_behind_them(policy):
    story = Behind(2, 1, policy=policy, models=("a", "b"))
    story.add(C, NORMAL, "b")
    assert story.starts() == [C]
    comes_through(story)


def tried_with_one_more(*models: tuple[str, ...]) -> Story:
    """B may wait inside the first backend, which is known to serve one at once."""
    story = Story(9, 9, most=None)
    first = story.fleet.backends[0]
    first.concurrency = Concurrency(9)
    with_models(story, *models)
    story.board._note_plain()
    story.add(A, NORMAL, "a")
    assert story.starts() == [A]
    first.concurrency.restarted(0.0)
    story.now = 1.0
    story.add(B, NORMAL, "a")
    assert story.starts() == [B]
    assert first.concurrency.recallable() == [B]
    return story


def test_one_that_waits_inside_a_backend_goes_back_for_one_behind_many_of_another_backend():
    story = tried_with_one_more(("a",), ("b",))
    story.board.mark_down("b1", "refused", datetime(2026, 1, 1, tzinfo=UTC))
    for n in range(100, 100 + MANY):
        story.add(task_id(n), CRITICAL, "b")
    assert story.board.recalls(1.0) == []
    story.add(task_id(200), CRITICAL, "a")
    assert story.starts() == []
    assert story.board.recalls(1.0) == [Recall(B)]


def test_one_that_waits_inside_a_backend_does_not_go_back_for_one_that_is_held_there():
    story = tried_with_one_more(("a", "b"), ("c",))
    story.fleet.backends[0].outages.wedged("b:latest", None, 1.0)
    story.add(C, CRITICAL, "b")
    assert story.board.recalls(1.0) == []
    story.add(D, CRITICAL, "a")
    assert story.board.recalls(1.0) == [Recall(B)]


def test_the_slot_of_one_that_went_for_a_task_whose_model_is_paused_now_is_for_the_next():
    story = Story(2)
    story.add(A, LOW)
    story.add(B, LOW)
    story.starts()
    story.add(C, CRITICAL, "c")
    assert story.preempts() == [B]
    story.board.pause_model("c", paused=True)
    story.add(D, CRITICAL)
    assert story.starts() == []
    assert story.preempts() == [], "B goes for it"
    story.goes_back(B)
    assert story.starts() == [D]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_critical_task_that_may_not_have_a_reserved_slot_gets_one_of_the_others(policy):
    story = Behind(3, policy=policy, reserve=[{"priority": CRITICAL + 5, "slots": 1}])
    story.add(C, CRITICAL, "a")
    assert story.starts() == []
    assert story.preempts() == [B]
    story.goes_back(B, model="a")
    assert story.starts() == [C]


def test_one_goes_where_the_only_free_slot_is_kept_for_a_task_before():
    story = Story(9, 9, source="guessed", max_models=2)
    for name, models in (("b0", ("d",)), ("b1", ("c", "d"))):
        story.board.note_facts(name, BackendFacts(models=models, slots=1, loaded=()), 0.0)
    story.add(A, LOW, "d")
    story.add(B, NORMAL, "c")
    assert story.starts() == [B, A]
    for task in (A, B):
        story.board.answered(task, 0.0)
    story.add(C, CRITICAL, "c")
    story.add(D, CRITICAL, "d")
    assert story.starts() == [], "b1 has room for d, but C waits for it"
    assert story.preempts() == [A]
    story.goes_back(A, model="d")
    assert story.starts() == [D]


def test_not_more_than_so_many_kinds_are_looked_at_in_vain(monkeypatch):
    monkeypatch.setattr(recalls, "KINDS", 1)
    story = Behind(2, policy="fifo")
    story.board.pause_model("b", paused=True)
    story.come()
    assert story.preempts() == []
