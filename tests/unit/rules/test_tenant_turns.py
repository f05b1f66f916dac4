"""What starts before a task where tenants are served in turn: held against what does start."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from oq.rules import tenant_turns
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.shares import EXPECTED
from oq.rules.slots import BackendSlots
from oq.words.config import FairnessConfig, SchedulerConfig, WeightConfig
from oq.words.messages import Ended

ENDED = Ended(served=True, cost=int(EXPECTED))


class Queue:
    """A board with fairness, before one slot. A task takes `took` seconds, and costs EXPECTED."""

    def __init__(
        self,
        policy: str = "fifo",
        *,
        quantum: int = 1,
        most: int = 256,
        weights: Sequence[tuple[str, float]] = (),
        fair: bool = True,
        took: float = 1.0,
    ) -> None:
        said = tuple(WeightConfig(tenant=name, weight=weight) for name, weight in weights)
        fairness = FairnessConfig(enabled=fair, quantum=quantum, max_tenants=most, weights=said)
        settings = SchedulerConfig(affinity=policy == "affinity")
        fleet = Fleet([BackendSlots("box", 1)])
        self.policy = POLICIES[settings.policy](fleet, settings, fairness)
        self.board = Board(2, fleet, self.policy, paused=False)
        self.forecast = self.board.forecast
        self.now, self.took, self.came = 0.0, took, 0

    def add(self, tenant: str, number: int = 1, model: str = "m") -> str:
        for _ in range(number):
            self.came += 1
            self.board.place(f"{self.came:06d}", Place(5, model, tenant=tenant))
        return f"{self.came:06d}"

    def run(self, number: int | None = None) -> list[str]:
        """So many start and end, or all: their ids."""
        started: list[str] = []
        while len(started) != number:
            job = next(self.board.starts(self.now), None)
            if job is None:
                break
            self.board.answered(job.task_id, self.now)
            self.forecast.settle(self.now)
            self.now += self.took
            self.board.end(job.task_id)
            self.board.free(job.task_id, self.now, ENDED)
            started.append(job.task_id)
        self.forecast.settle(self.now)
        return started

    def before(self, task_id: str) -> float | None:
        """The share of the work that is told to start before a task."""
        place = self.policy.place_of(task_id)
        position = self.policy.position(task_id)
        assert place is not None
        assert position is not None
        return self.policy.share_before(place, task_id, position - 1, lambda _: 1.0, self.now)

    def next_starts(self, tenant: str) -> float:
        estimate = self.forecast.of_next(Place(5, "m", tenant=tenant), self.now)
        assert estimate is not None
        return estimate.starts.p50


def starts(queue: Queue, task_id: str) -> float:
    estimate = queue.forecast.of(task_id, queue.now)
    assert estimate is not None
    return estimate.starts.p50


@pytest.mark.parametrize("number", range(40))
def test_what_is_told_is_what_happens(number: int) -> None:
    """However many tenants there are, with whatever weights, and whatever has run before."""
    random = Random(number)
    tenants = [f"t{n}" for n in range(random.choice([2, 3, 5, 8]))]
    chances = [random.choice([1, 3, 20]) for _ in tenants]
    weights = [(name, random.choice([1.0, 2.0, 3.0])) for name in tenants[::2]]
    queue = Queue(
        random.choice(["fifo", "affinity"]),
        quantum=random.choice([1, 2000, 10**9]),
        weights=random.choice([weights, []]),
    )
    for _ in range(3):
        for name in random.choices(tenants, chances, k=random.choice([20, 150])):
            queue.add(name)
        queue.run(random.choice([1, 10, 40]))
    waiting = [*queue.policy.in_line()]
    told = {task_id: queue.before(task_id) for task_id in waiting}
    order = queue.run()
    wrong = [abs((told[one] or 0.0) * len(order) - order.index(one)) for one in order]
    assert sum(wrong) / len(wrong) <= 2 * len(tenants)
    assert max(wrong) <= 4 * len(tenants), "a few tasks of each: those that are equals just now"


def test_who_has_few_tasks_is_told_its_own_turn_and_not_the_line_of_another() -> None:
    queue = Queue()
    queue.add("flood", 2000)
    queue.run(100)
    last, few = queue.add("flood"), queue.add("trickle", 2)
    assert starts(queue, few) < 20
    assert starts(queue, last) == pytest.approx(1900, rel=0.1)
    order = queue.run(6)
    assert few in order


def test_who_comes_next_is_told_the_same() -> None:
    queue = Queue()
    queue.add("flood", 2000)
    queue.run(100)
    assert queue.next_starts("trickle") < 20, "also if all that wait are of one tenant"
    assert queue.next_starts("flood") == pytest.approx(1900, rel=0.1)
    queue.add("trickle", 50)
    told = queue.next_starts("trickle")
    assert told == pytest.approx(100, rel=0.2), "in turns with the other one"
    assert starts(queue, queue.add("trickle")) == pytest.approx(told, rel=0.1)


def test_one_more_tenant_than_are_told_apart_is_told_the_turn_of_all_others() -> None:
    queue = Queue(most=2)
    for name in ("ann", "bob"):
        queue.add(name, 20)
    for number in range(600):
        queue.add(f"made up {number}")
    queue.run(40)
    assert queue.next_starts("made up too") == pytest.approx(600, rel=0.15)
    assert queue.next_starts("ann") < 60


def test_a_tenant_with_more_weight_waits_for_less() -> None:
    queue = Queue(weights=[("heavy", 3.0)])
    for _ in range(300):
        queue.add("heavy")
        queue.add("light")
    queue.run(100)
    heavy, light = (queue.next_starts(name) for name in ("heavy", "light"))
    assert heavy == pytest.approx(300 * 4 / 3 - 100, rel=0.15)
    assert light == pytest.approx(500, rel=0.1)


def test_one_tenant_alone_has_the_line_as_it_is() -> None:
    fair, plain = Queue(), Queue(fair=False)
    told = []
    for queue in (fair, plain):
        queue.add("one", 300)
        queue.run(100)
        assert queue.before("000200") is None
        told.append((starts(queue, "000200"), starts(queue, "000300"), queue.next_starts("one")))
    assert told[0] == told[1]


def test_other_priorities_have_turns_of_their_own() -> None:
    queue = Queue()
    queue.add("flood", 200)
    queue.run(100)
    for priority in (4, 9):
        place = Place(priority, "m", tenant="trickle")
        assert queue.policy.share_before(place, None, 0, lambda _: 1.0, queue.now) is None


@pytest.mark.parametrize("kinds", [2, 40])
def test_of_many_kinds_some_tell_of_all(kinds: int, monkeypatch) -> None:
    queue = Queue()
    for number in range(800):
        queue.add("flood", model=f"m{number % kinds}")
        if number % 8 == 0:
            queue.add("trickle", model=f"m{number % kinds}")
    queue.run(2 * tenant_turns.KINDS)
    looks = 0
    cost = queue.policy._shares.cost

    def counted(tenant: str, model: str) -> float:
        nonlocal looks
        looks += 1
        return cost(tenant, model)

    monkeypatch.setattr(queue.policy._shares, "cost", counted)
    told = {task_id: queue.before(task_id) for task_id in queue.policy.in_line()}
    assert looks <= 2 * tenant_turns.KINDS
    order = queue.run()
    for place in (100, 400, 700):
        assert (told[order[place]] or 0.0) * len(order) == pytest.approx(place, rel=0.25)


def test_what_waits_is_looked_at_anew_a_little_later() -> None:
    queue = Queue()
    queue.add("flood", 500)
    queue.add("trickle", 100)
    queue.run(20)
    first = queue.before("000500")
    queue.add("trickle", 50)
    assert queue.before("000500") == first
    assert queue.before(queue.add("newcomer")) is not None, "one that was not there is told, too"
    queue.now += 1.0
    assert queue.before("000500") != first


def test_of_many_that_come_at_once_each_is_told_its_turn() -> None:
    """Time does not go on meanwhile."""
    queue = Queue()
    queue.add("one", 300)
    queue.run(50)
    told = {}
    for _ in range(3000):
        task_id = queue.add("flood")
        told[task_id] = starts(queue, task_id)
    assert told["001000"] == pytest.approx(250 + 700, rel=0.1)
    assert told["003300"] == pytest.approx(250 + 3000, rel=0.1)


def test_a_tenant_that_left_and_its_backlog_count_no_more() -> None:
    queue = Queue()
    queue.add("flood", 300)
    last = queue.add("trickle", 100)
    queue.run(20)
    for number in range(50, 300):
        queue.board.settle(f"{number:06d}")
    queue.now += 1.0
    before = queue.before(last)
    waiting = len(queue.policy)
    order = queue.run()
    assert before is not None
    assert before * waiting == pytest.approx(order.index(last), abs=3)
