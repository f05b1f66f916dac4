"""Which tasks go to a backend of a higher tier, beside the other rules of the order.

A task takes a second on the lower tier, and may wait for 4 seconds there.
"""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.rules.stays import FEW
from oq.words.config import to_config
from oq.words.messages import Ended
from oq.words.views import BackendFacts
from tests.support.builders import task_id

AFTER = 4.0
IDLE, NORMAL, HIGH = 0, 5, 10
WEIGHTS = [{"tenant": "heavy", "weight": 2}]


class Story:
    """A local backend that has `local`, and a cloud that has `cloud` and both have `both`."""

    def __init__(self, policy: str = "fifo", most: int | None = None, **scheduler) -> None:
        scheduler["affinity"] = policy == "affinity"
        fairness = {"enabled": scheduler.pop("fair", False), "quantum": 1, "weights": WEIGHTS}
        config = to_config({"scheduler": scheduler, "fairness": fairness})
        self.local = BackendSlots("local", 1)
        self.cloud = BackendSlots("cloud", 9, tier=1, overflow_after=AFTER, max_models=most)
        self.fleet = Fleet([self.local, self.cloud])
        made = POLICIES[policy](self.fleet, config.scheduler, config.fairness)
        self.board = Board(99, self.fleet, made, paused=False)
        made.seconds_each = lambda backends, now: 1.0
        self.board.note_facts("local", BackendFacts(models=("both", "local")), 0.0)
        self.board.note_facts("cloud", BackendFacts(models=("both", "cloud")), 0.0)
        self.number = 0

    def add(self, model: str, times: int = 1, priority: int = NORMAL, tenant: str = "") -> None:
        for _ in range(times):
            self.number += 1
            self.board.place(task_id(self.number), Place(priority, model, tenant=tenant))

    def ends(self, number: int, now: float, cost: int | None = None) -> None:
        self.board.end(task_id(number))
        self.board.free(task_id(number), now, Ended(served=True, cost=cost))

    def starts(self, now: float = 0.0) -> list[tuple[int, str]]:
        jobs = self.board.starts(now)
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
    story.ends(1, 6.0)
    story.add("both")
    assert story.starts(6.0) == [(3, "local")]
    assert story.board.due(6.0) == inf


# -- which tasks count for a place in line


def fail_at(backend: BackendSlots, model: str) -> None:
    """Its tasks are held there, from second 1 on."""
    for number in range(4):
        backend.outages.failed(f"x{number}", f"{model}:latest", "500", float(number > 0))
    assert backend.outages.since(f"{model}:latest") is not None


@pytest.mark.parametrize("policy", POLICIES)
def test_tasks_of_a_paused_model_make_nobody_wait(policy):
    story = Story(policy)
    story.board.pause_model("local", paused=True)
    story.add("local", 20)
    story.add("both", 6)
    assert story.starts() == [(21, "local"), (26, "cloud")]


@pytest.mark.parametrize("held", ["local", "cloud"])
@pytest.mark.parametrize("policy", POLICIES)
def test_tasks_that_are_held_on_either_tier_make_nobody_wait(policy, held):
    story = Story(policy)
    fail_at(story.fleet.by_name[held], held)
    story.board._note_plain()
    story.add(held, 20)
    story.add("both", 6)
    assert story.starts(1.1) == [(21, "local"), (26, "cloud")]


@pytest.mark.parametrize("policy", POLICIES)
def test_more_urgent_tasks_that_are_paused_make_nobody_wait(policy):
    story = Story(policy)
    story.board.pause_model("local", paused=True)
    story.add("local", 20, HIGH)
    story.add("both", 2, HIGH)
    story.add("both", 5)
    assert story.starts() == [(21, "local"), (26, "cloud"), (27, "cloud")]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_place_is_that_among_tasks_of_several_models(policy):
    story = Story(policy)
    story.board.pause_model("paused", paused=True)
    story.add("both")
    for _ in range(3):
        story.add("paused", 2)
        story.add("local")
        story.add("both")
    assert story.starts() == [(1, "local"), (13, "cloud")], "before it 4, 5, 8 and 9 wait"


@pytest.mark.parametrize("few", [0, FEW])
@pytest.mark.parametrize("number", range(40))
def test_those_go_up_before_which_too_many_wait_for_the_lower_tier(number, few, monkeypatch):
    monkeypatch.setattr("oq.rules.stays.FEW", few)
    random = Random(number)
    story = Story()
    story.board.pause_model("paused", paused=True)
    line: list[tuple[int, int, str]] = []
    for task in range(1, 30):
        model, priority = random.choice(["both", "local", "paused"]), random.choice([NORMAL, HIGH])
        story.add(model, priority=priority)
        if model != "paused":
            line.append((-priority, task, model))
    line.sort()
    up = [task for place, (_, task, model) in enumerate(line[1:]) if place >= 4 and model == "both"]
    assert story.starts() == [(line[0][1], "local"), *((task, "cloud") for task in up[:9])]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_task_of_a_model_that_nobody_has_does_not_go_up(policy):
    story = Story(policy)
    story.add("both")
    story.add("none", 9)
    assert story.starts(1.0) == [(1, "local")]
    assert story.starts(60.0) == [], "the backends are asked who has it"
    for name in ("local", "cloud"):
        story.board.note_facts(name, BackendFacts(models=("both",)), 60.0)
    assert story.starts(60.0) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_task_takes_counts_at_once_when_the_first_one_has_ended(policy):
    story = Story(policy)
    story.board._policy.seconds_each = story.board.forecast.seconds_each
    story.add("both", 20)
    assert story.starts() == [(1, "local")]
    story.ends(1, 1.0)
    assert story.starts(1.0) == [(2, "local"), *((number, "cloud") for number in range(7, 16))]


# -- and whose turn is next


@pytest.mark.parametrize("policy", POLICIES)
def test_a_light_tenant_whose_turn_is_next_does_not_go_up(policy):
    story = Story(policy, fair=True)
    story.add("both", 40, tenant="ann")
    story.add("both", tenant="bob")
    assert story.starts() == [(1, "local"), *((number, "cloud") for number in range(5, 14))]
    story.ends(1, 1.0)
    assert story.starts(1.0) == [(41, "local")]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_tenant_that_has_got_much_goes_up_though_its_task_is_the_first_in_line(policy):
    story = Story(policy, fair=True)
    story.add("local", tenant="ann")
    story.add("both", tenant="ann")
    story.add("both", tenant="bob")
    assert story.starts() == [(1, "local")]
    story.ends(1, 1.0, cost=100_000)
    story.add("both", 4, tenant="bob")
    assert story.starts(1.0) == [(3, "local"), (2, "cloud")], "4 of bob's are before it"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_tenant_of_twice_the_weight_has_two_turns_of_three(policy):
    story = Story(policy, fair=True)
    story.add("local")
    story.add("both", 9, tenant="light")
    story.add("both", 9, tenant="heavy")
    started = story.starts()
    assert started[0] == (1, "local")
    up = [number for number, on in started if on == "cloud"]
    assert len([number for number in up if number <= 10]) == 3
    assert len([number for number in up if number > 10]) == 6
    assert not {2, 11, 12} & {*up}, "it is their turn soon"


def test_a_task_goes_no_higher_than_it_has_to():
    fleet = Fleet(
        [
            BackendSlots("dear", 9, tier=2, overflow_after=AFTER),
            BackendSlots("cheap", 1, tier=1, overflow_after=AFTER),
            BackendSlots("local", 1),
        ]
    )
    config = to_config({})
    policy = POLICIES["fifo"](fleet, config.scheduler, config.fairness)
    board = Board(99, fleet, policy, paused=False)
    policy.seconds_each = lambda backends, now: 1.0 / len(backends)
    for name in ("dear", "cheap", "local"):
        board.note_facts(name, BackendFacts(models=("both",)), 0.0)
    for number in range(20):
        board.place(task_id(number), Place(NORMAL, "both"))
    jobs = [*board.starts(0.0)]
    assert [job.backend for job in jobs[:3]] == ["local", "cheap", "dear"]


def clouds(policy: str, *others: BackendSlots) -> Board:
    """Before these backends of a higher tier and one of the lowest, which is full."""
    fleet = Fleet([BackendSlots("local", 1), *others], max_conversations=9)
    config = to_config({"scheduler": {"affinity": policy == "affinity"}})
    made = POLICIES[policy](fleet, config.scheduler, config.fairness)
    board = Board(99, fleet, made, paused=False)
    made.seconds_each = lambda backends, now: 1.0
    for backend in fleet:
        board.note_facts(backend.name, BackendFacts(models=("both",)), 0.0)
    board.place(task_id(1), Place(NORMAL, "both"))
    assert next(board.starts(0.0), None).backend == "local"
    return board


def cloud(name: str, limit: int, after: float = 0.0) -> BackendSlots:
    return BackendSlots(name, limit, tier=1, overflow_after=after)


@pytest.mark.parametrize("policy", POLICIES)
def test_of_one_tier_the_backend_that_has_least_to_do_gets_the_next(policy):
    board = clouds(policy, cloud("one", 4), cloud("two", 2))
    for number in range(2, 20):
        board.place(task_id(number), Place(NORMAL, "both"))
    jobs = [*board.starts(0.0)]
    assert [job.backend for job in jobs] == ["one", "two", "one", "one", "two", "one"]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_conversation_stays_on_its_backend_of_a_higher_tier(policy):
    board = clouds(policy, cloud("one", 4), cloud("two", 4))
    for number, conversation in ((2, 7), (3, 8), (4, 8), (5, 8), (6, 7)):
        board.place(task_id(number), Place(NORMAL, "both", conversation=conversation))
    jobs = [*board.starts(0.0)]
    assert [job.backend for job in jobs] == ["one", "two", "two", "two", "one"]


@pytest.mark.parametrize("policy", POLICIES)
def test_none_goes_to_one_of_its_tier_that_takes_those_only_that_wait_longer(policy):
    board = clouds(policy, cloud("later", 4, after=9.0), cloud("soon", 4, after=2.0))
    for number in range(2, 20):
        board.place(task_id(number), Place(NORMAL, "both"))
    jobs = [*board.starts(0.0)]
    found = [(int(job.task_id[-4:], 16), job.backend) for job in jobs]
    assert found[:4] == [(number, "soon") for number in range(4, 8)]
    assert found[4:] == [(number, "later") for number in range(15, 19)]


@pytest.mark.parametrize("name", POLICIES)
def test_nothing_goes_up_while_nobody_knows_how_long_tasks_take(name):
    fleet = Story().fleet
    policy = POLICIES[name](fleet, to_config({}).scheduler)
    assert policy.seconds_each([*fleet], 0.0) is None
    for number in range(100):
        policy.add(task_id(number), Place(NORMAL, "both"))
    first = policy.next(0.0)
    assert (first.task_id, first.backend) == (task_id(0), "local")
    fleet.by_name["local"].take(first.task_id, first.place, 0.0)
    policy.remove(first.task_id)
    assert policy.next(0.0) is None


def test_nothing_goes_up_while_it_is_asked_who_has_its_model():
    """Two do not say what they have; the list of the third is old."""
    boxes = [BackendSlots("local", 1), BackendSlots("other", 1)]
    cloud = BackendSlots("cloud", 9, tier=1, overflow_after=0.0)
    fleet = Fleet([*boxes, cloud])
    policy = POLICIES["fifo"](fleet, to_config({}).scheduler)
    board = Board(99, fleet, policy, paused=False)
    policy.seconds_each = lambda backends, now: 1.0
    board.note_facts("other", BackendFacts(models=("x",)), 0.0)
    for number in range(2):
        board.place(task_id(number), Place(NORMAL, "new"))
    later = 1e6
    assert next(board.starts(later), None) is None
    assert fleet.lists_wanted
    board.note_facts("other", BackendFacts(models=("x",)), later)
    assert [next(board.starts(later), None).backend for _ in range(2)] == ["local", "cloud"]
