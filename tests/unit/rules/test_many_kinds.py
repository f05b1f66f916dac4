"""Very many kinds of tasks: a search for the next one looks at few of them, and finds the same."""

from __future__ import annotations

from random import Random

import pytest

from oq.rules import bands
from oq.rules.bands import Bands
from oq.rules.board import Board
from oq.rules.by_route import ByRoute
from oq.rules.fleet import Fleet
from oq.rules.in_order import InOrder
from oq.rules.limited_work import passes_all
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.ready import ReadyQueue
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.views import BackendFacts
from tests.support.builders import NOW, task_id

LAST = 9999
"""The number of a task that comes after all others."""
FEW = 12
"""Looks that one search may take here."""


class Queue:
    """A board before these backends. `looks` is how often it was asked what one has room for."""

    def __init__(self, monkeypatch, policy: str, *backends: BackendSlots, fair: bool = False):
        settings = {"scheduler": {"affinity": policy == "affinity"}, "fairness": {"enabled": fair}}
        config = to_config(settings)
        self.fleet = Fleet(backends)
        self.policy = POLICIES[policy](self.fleet, config.scheduler, config.fairness)
        self.board = Board(99, self.fleet, self.policy, paused=False)
        self.looks = 0
        room = BackendSlots.room

        def counted(backend: BackendSlots, place: Place, now: float):
            self.looks += 1
            return room(backend, place, now)

        monkeypatch.setattr(BackendSlots, "room", counted)

    def wait(self, places: list[Place]) -> None:
        for number, place in enumerate(places, 100):
            self.board.place(task_id(number), place)

    def start(self, now: float = 0.0) -> list[int]:
        """Those that start, by their numbers; the last search finds none."""
        started = []
        while True:
            self.looks = 0
            job = next(self.board.starts(now), None)
            if job is None:
                return started
            started.append(int(job.task_id[-4:], 16))

    def add(self, number: int, model: str, load: str = "", priority: int = 5) -> None:
        self.board.place(task_id(number), Place(priority, model, load=load))

    def end(self, number: int) -> None:
        self.board.end(task_id(number))
        self.board.free(task_id(number), 0.5)


def options(model: str, number: int) -> list[Place]:
    return [Place(5, model, load=f"num_ctx={n}") for n in range(1, number + 1)]


def models(number: int, prefix: str = "m") -> list[Place]:
    return [Place(5, f"{prefix}{n}") for n in range(number)]


def tenants(places: list[Place]) -> list[Place]:
    """The same, of three tenants in turn."""
    return [Place(5, one.model, load=one.load, tenant=f"t{n % 3}") for n, one in enumerate(places)]


def at_a_limit(monkeypatch, policy: str, number: int) -> Queue:
    """All are of a model that runs as often as it may."""
    box = BackendSlots("box", 9, "measured", max_models=2, model_limits={"big": 1})
    queue = Queue(monkeypatch, policy, box)
    queue.add(1, "big")
    queue.start()
    queue.board.answered(task_id(1), 0.0)
    queue.wait(options("big", number))
    return queue


def held(monkeypatch, policy: str, number: int) -> Queue:
    """All are of a model that fails, on one of two backends."""
    queue = Queue(
        monkeypatch, policy, BackendSlots("a", 9, "measured"), BackendSlots("b", 9, models=["no"])
    )
    for failure in range(4):
        queue.fleet.by_name["a"].outages.failed(f"x{failure}", "big:latest", "500", failure * 0.15)
    queue.board._note_plain()
    queue.wait(options("big", number))
    return queue


def paused(monkeypatch, policy: str, number: int) -> Queue:
    queue = Queue(monkeypatch, policy, BackendSlots("a", 9, "measured"))
    queue.board.pause_model("big", paused=True)
    queue.wait(options("big", number))
    return queue


def only_elsewhere(monkeypatch, policy: str, number: int) -> Queue:
    """All are of models of their own that only a backend has that has no slot."""
    full, free = BackendSlots("a", 1, models=["m*"]), BackendSlots("b", 9, models=["x*"])
    queue = Queue(monkeypatch, policy, full, free)
    queue.add(1, "m")
    queue.start()
    queue.wait(models(number))
    return queue


def down(monkeypatch, policy: str, number: int) -> Queue:
    """The same, but that one does not answer."""
    queue = Queue(
        monkeypatch, policy, BackendSlots("a", 1, models=["m*"]), BackendSlots("b", 9, models=["x"])
    )
    queue.board.mark_down("a", "refused", NOW)
    queue.wait(models(number))
    return queue


def out_of_order(monkeypatch, policy: str, number: int) -> Queue:
    """The same, but that one fails at everything."""
    queue = Queue(
        monkeypatch, policy, BackendSlots("a", 9, models=["m*"]), BackendSlots("b", 9, models=["x"])
    )
    for failure in range(9):
        queue.fleet.by_name["a"].outages.failed(
            f"y{failure}", f"m{failure}", "500", failure * 0.055
        )
    queue.board._note_plain()
    queue.wait(models(number))
    return queue


def asked_for(monkeypatch, policy: str, number: int) -> Queue:
    """Nobody is known to have them, and the backends are asked."""
    queue = Queue(monkeypatch, policy, BackendSlots("a", 9), BackendSlots("b", 9))
    for name in "ab":
        queue.board.note_facts(name, BackendFacts(models=("x",)), -60.0)
    queue.wait(models(number))
    return queue


def changing(monkeypatch, policy: str, number: int) -> Queue:
    """Two backends hold a model with some options each, and all others want it with others."""
    box = {"source": "measured", "max_models": 1}
    queue = Queue(monkeypatch, policy, BackendSlots("a", 9, **box), BackendSlots("b", 9, **box))
    for name in "ab":
        queue.board.note_facts(name, BackendFacts(models=("x", "big"), loaded=()), 0.0)
    queue.add(1, "big", "num_ctx=1001")
    queue.add(2, "big", "num_ctx=1002")
    queue.start()
    for number_ in (1, 2):
        queue.board.answered(task_id(number_), 0.0)
    queue.wait(options("big", number))
    return queue


PASSED = [at_a_limit, held, paused, only_elsewhere, down, out_of_order, asked_for]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("made", [*PASSED, changing])
def test_a_search_takes_few_looks_however_many_kinds_wait(made, policy, monkeypatch):
    for number in (200, 2000):
        queue = made(monkeypatch, policy, number)
        assert queue.start(0.5) == []
        assert queue.looks <= FEW
        monkeypatch.undo()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("made", PASSED)
def test_a_task_behind_very_many_kinds_starts(made, policy, monkeypatch):
    queue = made(monkeypatch, policy, 200)
    queue.add(LAST, "x")
    assert queue.start(0.5) == [LAST]


def test_with_affinity_a_task_whose_model_is_in_memory_starts_before_very_many_others(monkeypatch):
    queue = changing(monkeypatch, "affinity", 200)
    queue.add(LAST, "big", "num_ctx=1002")
    assert queue.start(0.5) == []
    queue.end(2)
    assert queue.start(0.5) == [LAST]
    assert queue.looks <= FEW
    queue.end(1)
    assert queue.start(0.5) == [100], "then the oldest one, on the other backend"


@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_of_many_models_starts_where_some_are_at_their_limits(policy, monkeypatch):
    box = BackendSlots("box", 9, models=["m*"], model_limits={"m1*": 1})
    queue = Queue(monkeypatch, policy, box, BackendSlots("b", 9, models=["x"]))
    queue.wait([Place(5, "m1"), *[Place(5, "m1", load=f"num_ctx={n}") for n in range(100)]])
    for number, place in enumerate(models(100), 1000):
        queue.board.place(task_id(number), place)
    assert queue.start() == [100, 1000, *range(1002, 1009)]


@pytest.mark.parametrize("policy", POLICIES)
def test_each_tenant_is_looked_at(policy, monkeypatch):
    full, free = BackendSlots("a", 1, models=["m*"]), BackendSlots("b", 9, models=["x*"])
    queue = Queue(monkeypatch, policy, full, free, fair=True)
    queue.wait(tenants(models(200)))
    queue.board.place(task_id(LAST), Place(5, "x", tenant="t1"))
    assert sorted(queue.start()) == [100, LAST]
    assert queue.looks <= FEW


def test_a_kind_that_comes_and_goes_between_two_searches_leaves_nothing():
    tree = ByRoute([(task_id(1), ("m", ""))], Fleet([BackendSlots("a", 9)]))
    tree.move(("x", ""), None, None)
    assert [*tree.of_model] == [*tree.route_of] == ["m"]


@pytest.mark.parametrize("number", [0, 300])
def test_a_full_backend_is_waited_for_by_those_that_have_no_other(number, monkeypatch):
    first, second = BackendSlots("a", 1), BackendSlots("b", 2, max_models=1)
    queue = Queue(monkeypatch, "fifo", first, second)
    queue.board.note_facts("a", BackendFacts(models=(*(f"m{n}" for n in range(300)), "both")), 0.0)
    queue.board.note_facts("b", BackendFacts(models=("warm", "both")), 0.0)
    queue.add(1, "m0")
    queue.add(2, "warm")
    assert queue.start() == [1, 2]
    queue.board.answered(task_id(2), 0.0)
    queue.add(3, "m0")  # this one waits for the backend that is full
    queue.add(4, "both")  # so this one waits until the other one has its memory free
    queue.add(5, "warm")
    queue.wait(models(number))
    assert queue.start() == []
    assert queue.looks <= FEW


@pytest.mark.parametrize("policy", POLICIES)
def test_what_waits_inside_goes_back_for_one_behind_very_many_kinds(policy, monkeypatch):
    box = BackendSlots("box", 3, "measured", max_models=2, model_limits={"big": 1})
    queue = Queue(monkeypatch, policy, box)
    queue.board.note_facts("box", BackendFacts(loaded=("big", "small")), 0.0)
    box.residency.group(("small:latest", "")).concurrency.restarted(0.0)
    queue.add(1, "big")
    queue.add(2, "small", priority=1)
    queue.add(3, "small", priority=1)
    assert [*queue.start(), *queue.start(1.0)] == [1, 2, 3]
    queue.wait(options("big", 200))
    queue.add(LAST, "small")
    queue.start(2.0)
    queue.looks = 0
    assert [recall.task_id for recall in queue.board.recalls(2.0)] == [task_id(3)]
    assert queue.looks <= FEW


def test_it_is_known_who_passes_very_many_kinds(monkeypatch):
    queue = at_a_limit(monkeypatch, "fifo", 2000)
    queue.looks = 0
    assert passes_all(queue.policy, queue.fleet, [*queue.fleet], Place(5, "small"), 0.5)
    assert queue.looks <= FEW


def test_few_kinds_are_looked_at_one_by_one_again(monkeypatch):
    queue = only_elsewhere(monkeypatch, "fifo", 100)
    queue.start()
    (flow,) = queue.policy._bands[5].flows.values()
    assert flow._by_route is not None
    for number in range(100, 180):
        queue.board.settle(task_id(number))
        queue.board.end(task_id(number))
    queue.start()
    assert flow._by_route is None


# -- the order


@pytest.mark.parametrize("number", range(30))
def test_the_order_is_the_same_with_many_kinds(number, monkeypatch):
    """While tasks come and go, and what backends have changes, those that are not dropped come in
    order, and of those that are dropped no more.
    """
    monkeypatch.setattr(bands, "MANY", 0)
    random = Random(number)
    fleet = Fleet([BackendSlots("a", 1, models=["m0", "m1"]), BackendSlots("b", 1, models=["m*"])])
    waiting: dict[str, Place] = {}
    ready = ReadyQueue()
    made = Bands(ready, by_tenant=True, most=9)
    for step in range(40):
        for _ in range(random.choice([1, 5])):
            task = task_id(random.randrange(1000))
            if task not in waiting:
                model, load = f"m{random.randrange(4)}", f"num_ctx={random.randrange(4)}"
                waiting[task] = Place(5, model, load=load, tenant=random.choice("ab"))
                ready.push(task, waiting[task])
                made.add(task, waiting[task])
        for task in random.sample(sorted(waiting), random.choice([0, 0, 1, 3]) % len(waiting)):
            ready.discard(task)
            made.remove(task, waiting.pop(task))
        if not step % 10:
            fleet.changed()
        made.settle(0.0)
        if waiting:
            check_order(made, fleet, waiting, random)


def check_order(made: Bands, fleet: Fleet, waiting: dict[str, Place], random: Random) -> None:
    shown = random.choice([["a"], ["b"], ["a", "b"]])
    band = made[5]
    line = InOrder(band, [flow for flow in band.flows.values() if flow.tenant in shown], fleet, 0.0)
    left = [task for task in sorted(waiting) if waiting[task].tenant in shown]
    for task, kind in line:
        assert task == left.pop(0)
        assert kind == (waiting[task].model, waiting[task].load)
        if (chance := random.random()) < 0.1:
            line.drop(kind)
            left = [one for one in left if (waiting[one].model, waiting[one].load) != kind]
        elif chance < 0.2:
            line.drop_model(kind[0])
            left = [one for one in left if waiting[one].model != kind[0]]
    assert left == []
