"""What it costs to choose the next task, and its backend, where there are many backends."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bench.figures import percentile
from bench.scenario import Setting, Side
from oq.rules.board import Board
from oq.rules.fleet import Fleet
from oq.rules.place import Place
from oq.rules.placing import place_on
from oq.rules.policies import POLICIES
from oq.rules.slots import BackendSlots
from oq.words.config import SchedulerConfig, to_config
from oq.words.messages import Ended
from oq.words.sample import Sample
from oq.words.views import BackendFacts

BACKENDS = 50
AT_ONCE = 2
MODELS, EACH = 25, 4
"""Models of all backends, and of each, if they differ."""
WAITING = 2_000
STARTS = 3_000
SEED = 5
SERVED = Ended(served=True, sample=Sample(took=1.0, first=0.1, waited=0.01, load=0.0, tokens=50))


@asynccontextmanager
async def fleets(setting: Setting) -> AsyncIterator[list[Side]]:
    """Servers like Ollama that all have one model, and servers of which each has some: to choose
    one for a task, and to find the task, too, and start it.
    """
    starts = setting.sized(STARTS, least=10 * BACKENDS)

    def some(number: int) -> list[str]:
        return [f"m{(number + 6 * place) % MODELS}" for place in range(EACH)]

    async def alike() -> dict[str, float]:
        choose, start = search(starts, lambda number: ["m0"])
        return {"choose_alike": choose, "start_alike": start}

    async def mixed() -> dict[str, float]:
        choose, start = search(starts, some)
        return {"choose_mixed": choose, "start_mixed": start}

    yield [alike, mixed]


def search(starts: int, models: Callable[[int], list[str]]) -> tuple[float, float]:
    """Microseconds, each the median, when a task has ended: to choose a backend for the first that
    waits, and to start the next that can.
    """
    draw = random.Random(SEED)
    fleet = Fleet([_box(number, models(number)) for number in range(BACKENDS)])
    wanted = sorted({model for number in range(BACKENDS) for model in models(number)})
    policy = POLICIES["fifo"](fleet, SchedulerConfig(), to_config({}).fairness)
    board = Board(16 * BACKENDS, fleet, policy, paused=False)
    board.load((f"{n:036d}", Place(5, draw.choice(wanted))) for n in range(WAITING))
    running = [job.task_id for job in board.starts(1.0)]
    for task_id in running:
        board.answered(task_id, 1.0)
    chosen: list[float] = []
    started: list[float] = []
    for number in range(WAITING, WAITING + starts):
        board.place(f"{number:036d}", Place(5, draw.choice(wanted)))
        ended = running.pop(draw.randrange(len(running)))
        board.end(ended)
        board.free(ended, 1.0, SERVED)
        _, place = policy.first() or ("", Place(5, wanted[0]))
        begun = time.perf_counter()
        place_on(fleet.able(place.model, 1.0), place, 1.0)
        now = time.perf_counter()
        chosen.append((now - begun) * 1e6)
        for job in board.starts(1.0):
            started.append((time.perf_counter() - now) * 1e6)
            running.append(job.task_id)
            board.answered(job.task_id, 1.0)
            now = time.perf_counter()
    return percentile(chosen, 0.5), percentile(started, 0.5)


def _box(number: int, models: list[str]) -> BackendSlots:
    """One that holds a model, the first of its own, and serves AT_ONCE of its tasks at once."""
    box = BackendSlots(f"box{number}", 16, "measured", models=models, max_models=1)
    box.note_facts(BackendFacts(loaded=(models[0],)), 0.0)
    assert box.residency is not None
    group = box.residency.group(box.key(Place(5, models[0])), models[0])
    group.concurrency.restore(AT_ONCE, AT_ONCE + 1, 0.0)
    return box
