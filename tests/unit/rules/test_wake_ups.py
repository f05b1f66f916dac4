"""Random histories of a board with all rules of the order on: nothing waits for ever, and no task
could start earlier than `due` says though nothing happens.

Each history is made from a number, so it can be repeated.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from random import Random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oq.rules import bands
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.room import Room
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.messages import Busy, Ended
from oq.words.sample import Sample
from oq.words.views import BackendFacts
from tests.support.builders import task_id

AT = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = "abcd"
LOADS = ["", "", "num_ctx=1", "num_ctx=2"]
LIMITS = [None, None, {"a": 1}, {"*": 1}, {"b": 2, "a": "auto", "c": 1}]
STEPS = 80
LONG = 5000.0
"""Seconds: more than anything takes."""


@pytest.fixture(params=[bands.MANY, 0], ids=["few", "many"], scope="module", autouse=True)
def many(request):
    """How many kinds are too many to look at each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "MANY", request.param)
        yield


class World:
    """A board, its backends, and what happens to them."""

    def __init__(self, random: Random) -> None:
        self.random, self.now, self.count = random, 0.0, 0
        some = random.choice
        scheduler = {
            "affinity": some([False, True]),
            "max_bypass": some([0, 3, 30]),
            "reserve": some([[], [{"priority": "high", "slots": 1}]]),
            "idle_after": some([0, 5]),
        }
        fairness = {"enabled": some([False, True]), "quantum": some([1, 2000])}
        self.idle_after = scheduler["idle_after"]
        self.above_until = -inf  # when the last task above the idle ones ended
        config = to_config({"scheduler": scheduler, "fairness": fairness})
        self.has = {
            f"b{n}": frozenset(random.sample(MODELS, some([1, 2, 3])))
            for n in range(some([1, 2, 3]))
        }
        self.backends = {name: self.make(name) for name in self.has}
        self.fleet = Fleet(list(self.backends.values()))
        policy = POLICIES[config.scheduler.policy](self.fleet, config.scheduler, config.fairness)
        bypass = config.scheduler.max_bypass if config.scheduler.affinity else None
        slots, self.preempts = some([2, 4, 9]), some([None, 1, 3])
        self.board = Board(
            slots, self.fleet, policy, paused=False, preempts=self.preempts, bypass=bypass
        )
        for name in self.has:
            self.say(name)
        self.running: dict[str, Place] = {}
        self.waiting: dict[str, Place] = {}
        self.on: dict[str, tuple[str, float]] = {}
        self.answered: set[str] = set()

    def make(self, name: str) -> BackendSlots:
        some = self.random.choice
        source = some(["set", "guessed", "measured"])
        return BackendSlots(
            name, some([1, 2, 4]), source, max_models=some([None, 1, 2]),
            tier=some([0, 0, 1]), overflow_after=some([0.0, 4.0]), model_limits=some(LIMITS),
        )  # fmt: skip

    def say(self, name: str) -> None:
        self.board.note_facts(name, BackendFacts(models=tuple(self.has[name])), self.now)

    # -- what happens

    def happen(self) -> None:
        steps = [self.submit] * 8 + [self.finish] * 6 + [self.answer] * 4 + [self.wait] * 3
        steps += [self.cancel, self.raise_or_lower, self.pause, self.fail, self.restart, self.busy]
        steps += [self.abort, self.wedge, self.tell_digests]
        self.random.choice(steps)()

    def submit(self) -> None:
        for _ in range(self.random.choice([1, 1, 3, 8])):
            self.count += 1
            place = Place(
                self.random.choice([0, 1, 5, 5, 10, 15]),
                self.random.choice(MODELS),
                load=self.random.choice(LOADS),
                tenant=self.random.choice(["", "ann", "bob"]),
            )
            self.enter(task_id(self.count), place)

    def crowd(self) -> None:
        """Many critical tasks of one model."""
        place = Place(15, self.random.choice(MODELS))
        for _ in range(70):
            self.count += 1
            self.enter(task_id(self.count), place)

    def enter(self, task: str, place: Place) -> None:
        self.waiting[task] = place
        self.board.place(task, place)

    def finish(self) -> None:
        if self.running:
            self.stop(self.random.choice([*self.running]), served=True)

    def stop(
        self,
        task: str,
        *,
        served: bool,
        again: bool = False,
        failed: str | None = None,
        busy: Busy | None = None,
    ) -> None:
        place, (_, at) = self.running.pop(task), self.on.pop(task)
        if place.priority:
            self.above_until = self.now
        begun = task in self.answered
        self.answered.discard(task)
        sample = Sample(self.now - at, None, 0.0, None, 10) if served else None
        cost = self.random.choice([None, 100, 5000]) if served else None
        ended = Ended(
            served=served, failed=failed, begun=begun, busy=busy, sample=sample, cost=cost
        )
        if self.random.random() < 0.5:  # told by two actors, in either order
            self.board.place(task, place) if again else self.board.end(task)
            self.board.free(task, self.now, ended)
        else:
            self.board.free(task, self.now, ended)
            self.board.place(task, place) if again else self.board.end(task)
        if again:
            self.waiting[task] = place

    def answer(self) -> None:
        quiet = [task for task in self.running if task not in self.answered]
        if quiet:
            task = self.random.choice(quiet)
            self.answered.add(task)
            self.board.answered(task, self.now)

    def wait(self) -> None:
        self.now += self.random.choice([0.1, 1.0, 7.0])

    def cancel(self) -> None:
        if self.waiting:
            task = self.random.choice([*self.waiting])
            del self.waiting[task]
            self.board.settle(task)
            self.board.end(task)

    def raise_or_lower(self) -> None:
        if self.waiting:
            task = self.random.choice([*self.waiting])
            old = self.waiting.pop(task)
            self.board.settle(task)
            self.enter(task, replace(old, priority=self.random.choice([0, 5, 15])))

    def pause(self) -> None:
        model = self.random.choice(MODELS)
        self.board.pause_model(model, paused=model not in self.board.paused_models)

    def fail(self) -> None:
        for _ in range(self.random.choice([1, 1, 4])):
            self.wait()
            self.dispatch()
            if self.running:
                task = self.random.choice([*self.running])
                self.stop(task, served=False, again=True, failed="500")

    def abort(self) -> None:
        if self.running:
            self.stop(self.random.choice([*self.running]), served=False)

    def wedge(self) -> None:
        if self.running:
            task = self.random.choice([*self.running])
            backend, model = self.on[task][0], self.running[task].model
            self.board.note_wedged(backend, model, task, self.now)

    def tell_digests(self) -> None:
        """Two names may be of one model, and a model may be another one later."""
        digests = {model: self.random.choice("xyz") for model in self.random.choice(["ab", "c"])}
        name = self.random.choice([*self.backends])
        if self.backends[name].down is None:
            self.board.note_facts(name, BackendFacts(digests=digests), self.now)

    def restart(self) -> None:
        name = self.random.choice([*self.backends])
        if self.backends[name].down is None:
            self.board.mark_down(name, "refused", AT)
            for task, (on, _) in [*self.on.items()]:
                if on == name:
                    self.stop(task, served=False, again=True)
        else:
            self.board.mark_up(name, self.now)

    def busy(self) -> None:
        quiet = [task for task in self.running if task not in self.answered]
        if quiet:
            task, busy = self.random.choice(quiet), Busy("busy", self.random.choice([None, 7.0]))
            name = self.on[task][0]
            self.stop(task, served=False, again=True, busy=busy)
            self.board.hold(name, busy, self.now, lambda times, asked: asked or float(times))

    # -- what the scheduler does

    def dispatch(self) -> float:
        """As `Scheduler._dispatch`, with answers at once. When something is due."""
        while True:
            while True:
                kept = self.kept()
                job = next(self.board.starts(self.now), None)
                if job is None:
                    break
                self.start(job, kept[job.backend])
            recalls = self.board.recalls(self.now)
            for recall in recalls:
                if recall.task_id not in self.running:
                    continue  # both ways at once
                if self.random.random() < 0.8:
                    self.stop(recall.task_id, served=False, again=True)
                else:
                    self.board.stay(recall.task_id)
            looks = self.board.looks(self.now)
            for look in looks:
                self.say(look.backend)
            self.board.forecast.settle(self.now)
            if not (recalls or looks):
                self.check_preempted()
                return self.board.due(self.now)

    def check_preempted(self) -> None:
        """No task that could go holds a slot for which a critical one waits, however many others
        are before that. All that were to go have gone, or stay.
        """
        going = set()
        for task, place in self.running.items():
            went = self.board._recalls._times.get(task, 0)
            if place.priority <= 1 and not self.board._running[task].stays:
                if went < (self.preempts or 0):
                    going.add((self.on[task][0], place.model, place.load))
        for place in {place for place in self.waiting.values() if place.priority >= 15}:
            rooms = {
                backend.name: backend.room(place, self.now)
                for backend in self.fleet.able(place.model, self.now)
            }
            for name, room in rooms.items():
                taken = room is Room.TAKEN and (name, place.model, place.load) in going
                assert not taken, f"{place} waits"

    def kept(self) -> dict[str, int]:
        """The highest priority that waits for each backend, and for no other."""
        kept = dict.fromkeys(self.backends, -1)
        for place in set(self.waiting.values()):
            able = self.fleet.able(place.model, self.now)
            if len(able) == 1 and self.board._policy.room(able[0], place, self.now) > Room.LIMITED:
                kept[able[0].name] = max(kept[able[0].name], place.priority)
        return kept

    def start(self, job, kept: int) -> None:
        place = self.running[job.task_id] = self.waiting.pop(job.task_id)
        self.on[job.task_id] = job.backend, self.now
        backend = self.backends[job.backend]
        assert backend.down is None
        assert backend.running <= backend.limit
        assert len(self.running) <= self.board.slots
        assert place.priority >= kept, "one of a higher priority waits for it"
        if place.priority == 0 and self.idle_after:
            assert self.above_until + self.idle_after <= self.now
            assert not any(other.priority for other in self.running.values())
        assert place.model not in self.board.paused_models

    def check_due(self, due: float) -> None:
        """Until then no task starts though nothing happens."""
        latest = self.now + LONG if due == inf else due - 1e-6
        if latest <= self.now:
            return
        job = next(self.board.starts(latest), None)
        assert job is None, f"{job.task_id} can start, and is not due before {due}"

    def come_to_rest(self) -> None:
        """All is in order again: everything that waits runs and ends."""
        for model in self.board.paused_models:
            self.board.pause_model(model, paused=False)
        for name, backend in self.backends.items():
            if backend.down is not None:
                self.board.mark_up(name, self.now)
        for _ in range(4000):
            due = self.dispatch()
            if not (self.waiting or self.running):
                return
            if self.running:
                task = self.random.choice([*self.running])
                if task not in self.answered and self.random.random() < 0.5:
                    self.answered.add(task)
                    self.board.answered(task, self.now)
                else:
                    self.now += 0.5
                    self.stop(task, served=True)
            else:
                assert due < inf, f"{self.waiting} wait for ever"
                self.now = max(due, self.now + 1e-3)
        raise AssertionError(f"{self.waiting} did not come to an end")

    def check_accounts(self) -> None:
        """Nothing is remembered of tasks that are gone."""
        policy = self.board._policy
        assert not self.board._running
        assert not self.board._recalls._times
        assert not self.board._recalls.critical
        assert not any(backend.running for backend in self.backends.values())
        assert not policy._waits_for
        if policy._shares is not None:
            assert not policy._shares._running
            for band in policy._shares._bands.values():
                assert not band.running
                assert not band.active
        if policy._reserve is not None:
            for rule in policy._reserve._rules:
                assert not rule.lower
                assert not any(
                    there.tasks or there.models or there.kinds for there in rule.there.values()
                )
        if policy._quiet is not None:
            assert not policy._quiet._above


@pytest.mark.slow
@seed(40)
@settings(max_examples=150, deadline=None, database=None)
@given(st.integers(0, 2**32))
def test_nothing_waits_for_ever_and_nothing_starts_unannounced(number):
    world = World(Random(number))
    for _ in range(STEPS):
        world.happen()
        world.dispatch()
    world.come_to_rest()
    world.check_accounts()


@seed(41)
@settings(max_examples=150, deadline=None, database=None)
@given(st.integers(0, 2**32), st.integers(1, STEPS))
def test_no_task_can_start_before_it_is_due(number, steps):
    world = World(Random(number))
    for _ in range(steps):
        world.happen()
        due = world.dispatch()
    world.check_due(due)


@pytest.mark.slow
@seed(42)
@settings(max_examples=20, deadline=None, database=None)
@given(st.integers(0, 2**32))
def test_many_critical_tasks_hide_none_of_the_others(number):
    random = Random(number)
    world = World(random)
    for step in range(STEPS // 2):
        world.happen() if step % 10 else world.crowd()
        world.dispatch()
    world.come_to_rest()
    world.check_accounts()
