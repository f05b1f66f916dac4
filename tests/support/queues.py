"""Queues for tests: in memory and on the mock clock, with a backend whose every answer is scripted.

With a mock clock nothing here sleeps: trio's autojump goes on to the next deadline as soon as
everybody waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from oq.backends.simulated import SimulatedBackend, Simulator
from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger, MemoryEngine
from oq.words.clock import Clock
from oq.words.config import to_config
from oq.words.events import Event, EventType
from oq.words.task import RawTask, Status, Submission

EPOCH = 1_700_000_000.0
SETTINGS: dict[str, Any] = {
    "queue": {"max_workers": 2, "cleanup_interval": "1h", "drain_timeout": "30s"},
    "retry_config": {"initial_delay": "1s", "max_delay": "30s", "jitter": False},
}


def mock_wall_clock() -> Clock:
    """A wall clock that goes with trio's (mock) clock."""
    return Clock(lambda: EPOCH + trio.current_time())


def generate(prompt: str = "hello", **fields: Any) -> Submission:
    """A generate task; `simulate` scripts its answer."""
    simulate = fields.pop("simulate", None)
    options = {"simulate": simulate} if simulate else {}
    return Submission(
        type="generate",
        model=fields.pop("model", "m"),
        payload=msgspec.Raw(msgspec.json.encode({"prompt": prompt})),
        options=msgspec.Raw(msgspec.json.encode(options)),
        **fields,
    )


def settings(**sections: dict[str, Any]) -> dict[str, Any]:
    """`SETTINGS`, with these keys of these sections instead."""
    merged = {name: dict(keys) for name, keys in SETTINGS.items()}
    for name, keys in sections.items():
        merged.setdefault(name, {}).update(keys)
    return merged


@asynccontextmanager
async def memory_queue(
    engine: MemoryEngine | None = None,
    backend: SimulatedBackend | None = None,
    **sections: dict[str, Any],
) -> AsyncIterator[Queue]:
    """A queue over an engine that a test may keep, and open again."""
    async with open_queue(
        to_config(settings(**sections)),
        backends=[backend or SimulatedBackend(simulator=Simulator())],
        ledger=KeyValueLedger(engine or MemoryEngine()),
        clock=mock_wall_clock(),
    ) as queue:
        yield queue


async def ended(queue: Queue, task_id: str, within: float = 1e6) -> RawTask:
    """The task once it has ended; it fails when that takes longer than `within` seconds."""
    task = await queue.raw.get(task_id, wait=within)
    assert task.status.ended, f"still {task.status} after {within} s"
    return task


async def until(queue: Queue, task_id: str, status: Status) -> RawTask:
    """The task once it is in this state."""
    with queue.subscribe(task_id=task_id) as events:
        while (task := await queue.raw.get(task_id)).status is not status:
            assert not task.status.ended, f"it is {task.status} and will never be {status}"
            await events.__anext__()
    return task


async def until_retrying(queue: Queue, task_id: str) -> RawTask:
    """The task once an attempt has failed and its retry waits."""
    with queue.subscribe(types=[EventType.TASK_RETRYING], task_id=task_id, after=0) as events:
        await events.__anext__()
    await trio.testing.wait_all_tasks_blocked()
    return await queue.raw.get(task_id)


async def collect(queue: Queue, count: int, *types: EventType, **wanted: Any) -> list[Event]:
    """The next `count` events of these types."""
    found: list[Event] = []
    with queue.subscribe(types=types or None, **wanted) as events:
        async for batch in events:
            for event in batch:
                assert isinstance(event, Event), f"lagged: {event}"
                found.append(event)
            if len(found) >= count:
                return found[:count]
    pytest.fail("the subscription ended")
