"""A search among many kinds that looks at few of them starts the same as one that looks at each."""

from __future__ import annotations

from random import Random

import pytest

from oq.rules import bands
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import to_config
from oq.words.messages import Ended
from oq.words.views import BackendFacts

STEPS = 60


class Story:
    """Tasks come, start and end on up to three backends. What is drawn does not depend on what
    starts.
    """

    def __init__(self, policy: str, number: int) -> None:
        self.draw = draw = Random(number)
        self.models = [f"m{n}" for n in range(draw.choice([4, 6, 10]))]
        backends: list[BackendSlots] = []
        for name in "abc"[: draw.choice([1, 2, 2, 3])]:
            slots, most = draw.choice([1, 1, 2, 4]), draw.choice([1, 1, 2, 3])
            source = draw.choice(["told", "measured"])
            backends.append(BackendSlots(name, slots, source, max_models=most))
        settings = {
            "scheduler": {"affinity": policy == "affinity", "max_bypass": "5s"},
            "fairness": {"enabled": draw.random() < 0.3, "quantum": 1000},
        }
        config = to_config(settings)
        fleet = Fleet(backends)
        made = POLICIES[policy](fleet, config.scheduler, config.fairness)
        self.board = Board(99, fleet, made, paused=False)
        for backend in backends:
            some = draw.sample(self.models, draw.randint(1, len(self.models)))
            models = tuple(some if draw.random() < 0.7 else self.models)
            self.board.note_facts(backend.name, BackendFacts(models=models, loaded=()), 0.0)
        self.now, self.came = 0.0, 0
        self.running: list[str] = []

    def run(self) -> list[tuple[int, str, str]]:
        """What starts, each with the step and the backend."""
        started: list[tuple[int, str, str]] = []
        for step in range(STEPS):
            for _ in range(self.draw.choice([0, 1, 2, 4])):
                self._come()
            for job in self.board.starts(self.now):
                started.append((step, job.task_id, job.backend))
                self.running.append(job.task_id)
            self._go_on([self.draw.random() for _ in range(8)])
        return started

    def _come(self) -> None:
        self.came += 1
        priority, model = self.draw.choice([5, 5, 5, 9]), self.draw.choice(self.models)
        load, tenant = self.draw.choice(["", "num_ctx=1"]), self.draw.choice("xy")
        self.board.place(f"{self.came:06d}", Place(priority, model, load=load, tenant=tenant))

    def _go_on(self, chances: list[float]) -> None:
        """Some are answered, and some end later."""
        for number, task_id in enumerate(sorted(self.running)):
            if chances[number % 8] < 0.5:
                self.board.answered(task_id, self.now)
        self.now += 2 * chances[0]
        for number, task_id in enumerate(sorted(self.running)):
            if chances[(number + 3) % 8] < 0.3:
                self.board.answered(task_id, self.now)
                self.board.end(task_id)
                self.board.free(task_id, self.now, Ended(served=True, cost=500))
                self.running.remove(task_id)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_what_starts_does_not_depend_on_how_many_kinds_are_many(policy, first, monkeypatch):
    """But for this: a task keeps the backend for which it has waited before, and stands for others
    that would wait for another one by now. So very few of all stories differ; none of these does.
    """
    for number in range(first, first + 20):
        found = []
        for many in (10**9, 0):
            monkeypatch.setattr(bands, "MANY", many)
            found.append(Story(policy, number).run())
        assert found[0] == found[1]
