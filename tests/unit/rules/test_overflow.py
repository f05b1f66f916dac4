"""Which tasks go to a backend of a higher tier, beside the other rules of the order.

A task takes a second on the lower tier, and may wait for 4 seconds there.
"""

from __future__ import annotations

from math import inf

import pytest

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.messages import Ended
from oq.words.views import BackendFacts
from tests.support.builders import task_id

AFTER = 4.0
IDLE, NORMAL, HIGH = 0, 5, 10


class Story:
    """A local backend that has `local`, and a cloud that has `cloud` and both have `both`."""

    def __init__(self, policy: str = "fifo", most: int | None = None, **scheduler) -> None:
        scheduler["affinity"] = policy == "affinity"
        config = to_config({"scheduler": scheduler})
        self.local = BackendSlots("local", 1)
        cloud = BackendSlots("cloud", 9, tier=1, overflow_after=AFTER, max_models=most)
        self.fleet = Fleet([self.local, cloud])
        made = POLICIES[policy](self.fleet, config.scheduler, config.fairness)
        self.board = Board(99, self.fleet, made, paused=False)
        made.seconds_each = lambda backends: 1.0
        self.board.note_facts("local", BackendFacts(models=("both", "local")), 0.0)
        self.board.note_facts("cloud", BackendFacts(models=("both", "cloud")), 0.0)
        self.number = 0

    def add(self, model: str, times: int = 1, priority: int = NORMAL) -> None:
        for _ in range(times):
            self.number += 1
            self.board.place(task_id(self.number), Place(priority, model))

    def starts(self, now: float = 0.0) -> list[tuple[int, str]]:
        self.board.settle_time(now)
        jobs = iter(lambda: self.board.next(now), None)
        return [(int(job.task_id[-4:], 16), job.backend) for job in jobs]


@pytest.mark.parametrize("policy", POLICIES)
def test_many_that_cannot_go_up_do_not_keep_others_from_it(policy):
    story = Story(policy)
    story.add("local", 300)
    story.add("both", 2)
    assert story.starts() == [(1, "local"), (301, "cloud"), (302, "cloud")]


@pytest.mark.parametrize("policy", POLICIES)
def test_idle_tasks_do_not_go_up_while_others_run(policy):
    story = Story(policy, idle_after="30s")
    story.add("local")
    story.add("both", 9, priority=IDLE)
    assert story.starts() == [(1, "local")]


@pytest.mark.parametrize("policy", POLICIES)
def test_none_goes_up_where_a_more_urgent_one_waits(policy):
    story = Story(policy, most=1)
    story.add("both", 6)
    assert story.starts() == [(1, "local"), (6, "cloud")]
    story.board.answered(task_id(6), 0.0)
    story.add("cloud", priority=HIGH)
    story.add("both", 20)
    assert story.starts() == [], "the cloud is to change its model"


@pytest.mark.parametrize("policy", POLICIES)
def test_those_that_wait_for_one_out_of_order_go_up_when_that_takes_too_long(policy):
    story = Story(policy)
    story.local.outages.failed("x", "both:latest", "500", 0.0)
    for number in range(3):
        story.local.outages.failed(f"y{number}", "both:latest", "500", 1.0)
    story.board._note_plain()
    story.add("both", 2)
    assert story.starts(1.0) == []
    assert story.board.due(1.0) < 1.0 + AFTER
    assert story.starts(1.25) == [(1, "local")], "a canary"
    assert story.board.due(1.25) == 1.0 + AFTER
    assert story.starts(1.0 + AFTER) == [(2, "cloud")]
    story.board.end(task_id(1))
    story.board.free(task_id(1), 6.0, Ended(served=True))
    story.add("both")
    assert story.starts(6.0) == [(3, "local")]
    assert story.board.due(6.0) == inf
