"""What happened lately: tokens when they come, and all of it after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from itertools import groupby
from typing import Any

import pytest
import trio

from oq.actors.recorder import INTERVAL
from oq.backends.simulated import SimulatedBackend, Simulator
from oq.http.app import create_app
from oq.store import MemoryEngine
from oq.store.keys import KEPT
from oq.words.errors import StoreFull
from oq.words.steps import Kept
from tests.support.http import GENERATE, Api
from tests.support.queues import generate, memory_queue

A_MINUTE = {
    **GENERATE,
    "model": "slow",
    "options": {"simulate": {"tokens": 600, "rate": 10}},
}


class Killed(Exception):
    """The process ends, and nothing more is written."""


@asynccontextmanager
async def served(engine: MemoryEngine, *, killed: bool = False) -> AsyncIterator[Api]:
    """The application over this engine, on the mock clock. `killed`: what closing it writes is
    undone.
    """
    written: dict[str, Any] = {}
    with suppress(Killed):
        async with memory_queue(engine, SimulatedBackend(simulator=Simulator())) as queue:
            yield Api(create_app(queue), queue)
            if killed:
                written = deepcopy(engine._families)
                raise Killed
    if killed:
        engine._families = written


async def points(oq: Api, window: str = "15m", model: str = "") -> list[dict[str, Any]]:
    asked = f"&model={model}" if model else ""
    return (await oq.get(f"/api/stats?window={window}{asked}")).json["points"]


async def tokens(oq: Api) -> list[int]:
    """Of each interval that had any, and of those between them."""
    came = [point["tokens"] for point in await points(oq)]
    return came[next(at for at, each in enumerate(came) if each) :]


async def test_a_stream_of_a_minute_is_drawn_as_it_comes(autojump_clock):
    async with served(MemoryEngine()) as oq:
        task_id = await oq.submit(A_MINUTE)
        await trio.sleep(35)
        first, *whole, _ = await tokens(oq)
        assert whole == [pytest.approx(100, abs=2)] * len(whole)
        assert len(whole) >= 2
        await oq.queue.get(task_id, wait=100)
        came = await tokens(oq)
        assert sum(came) == 600, "as many as the backend says"
        assert max(came) <= 102
        assert sum(point["tokens"] for point in await points(oq, "24h")) == 600
        assert sum(point["tokens"] for point in await points(oq, model="slow")) == 600
        assert sum(point["tokens"] for point in await points(oq, model="m")) == 0
        assert first <= 102


@pytest.mark.parametrize("killed", [False, True])
async def test_a_restart_loses_nothing_but_shows_its_gap(autojump_clock, killed):
    engine = MemoryEngine()
    async with served(engine, killed=killed) as oq:
        task_id = await oq.submit({**A_MINUTE, "model": "slow:latest"})
        await oq.queue.get(task_id, wait=100)
        if killed:
            await trio.sleep(2 * INTERVAL)
        before = [point for point in await points(oq) if point["submitted"] or point["tokens"]]
    await trio.sleep(100)
    async with served(engine) as oq:
        await oq.ended(await oq.submit())
        after = await points(oq)
        assert [point for point in after if point["t"] in {each["t"] for each in before}] == before
        ran = [(ran, len(list(some))) for ran, some in groupby(point["ran"] for point in after)]
        assert [ran for ran, _ in ran] == [False, True, False, True]
        assert 8 <= ran[2][1] <= 11
        of_slow = await points(oq, model="slow")
        assert sum(point["tokens"] for point in of_slow) == 600
        assert sum(point["completed"] for point in of_slow) == 1
        assert sum(point["completed"] for point in await points(oq, "24h")) == 2


async def test_it_is_written_now_and_then_and_not_when_nothing_happens(autojump_clock):
    engine = MemoryEngine()
    async with served(engine) as oq:
        written: list[str] = []
        oq.queue.observe(
            lambda commit: written.extend(
                step.name for step in commit.steps if isinstance(step, Kept)
            )
        )
        for _ in range(40):  # 20 s of the mock clock with work all the time; no real time passes
            await oq.ended(await oq.submit())
            await trio.sleep(0.5)
        assert 3 <= written.count("ran") <= 4
        assert 9 <= len(written) <= 16, "with each of them the intervals that changed"
        await trio.sleep(2 * INTERVAL)
        written.clear()
        await trio.sleep(3000)
        assert written == []


async def test_a_full_disk_loses_nothing_of_it(autojump_clock, monkeypatch):
    engine = MemoryEngine()
    async with served(engine) as oq:
        await oq.ended(await oq.submit())
        with monkeypatch.context() as full:
            full.setattr(engine, "write", lambda puts: _refuse())
            await trio.sleep(2 * INTERVAL)
        await trio.sleep(60)
        await oq.ended(await oq.submit())
    async with served(engine) as oq:
        shown = await points(oq)
        assert sum(point["completed"] for point in shown) == 2


def _refuse() -> None:
    raise StoreFull("no space left on the device")


async def test_a_queue_that_nobody_measures_keeps_nothing(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine, SimulatedBackend(simulator=Simulator())) as queue:
        await queue.raw.submit(generate())
        await trio.sleep(60)
    assert not [
        key for key in engine._families["meta"] if key.startswith((KEPT + b"15m", KEPT + b"24h"))
    ]
