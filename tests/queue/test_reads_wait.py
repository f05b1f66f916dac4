"""What reached the disk may be told, and nothing earlier: by no way of asking.

Each test asks while a sync is under way that holds a task's end.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oq.backends.simulated import SimulatedBackend
from oq.http.app import create_app
from oq.queue import Queue, open_queue
from oq.rules.filters import TaskFilter
from oq.rules.outbox import Outbox
from oq.rules.validation import decode_submission
from oq.store import KeyValueLedger, MemoryEngine, looks
from oq.words.errors import StoreCorrupt, StoreError, Unavailable
from oq.words.steps import SetPaused
from oq.words.task import Status
from tests.support.builders import new, task_id
from tests.support.http import GENERATE, Api, settings

A_WHILE = 0.1
"""Seconds in which an answer that comes too early has come. On a busy machine it may not have come
yet: then a test sees less, and does not fail. What has to be answered at once is waited for."""


class SlowDisk(MemoryEngine):
    """Its syncs wait while `open` is not set."""

    sync_blocks = True

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.syncing = threading.Event()

    def sync(self, commit: int) -> None:
        self.syncing.set()
        assert self.open.wait(30)


class Half:
    """A queue whose only task is cancelled, though not yet on disk."""

    def __init__(self, queue: Queue, disk: SlowDisk, task_id: str) -> None:
        self.queue = queue
        self.api = Api(create_app(queue), queue)
        self.disk = disk
        self.task_id = task_id

    async def early_and_late(self, ask: Any) -> tuple[Any, Any]:
        """What is answered before the disk has it, None if nothing, and what afterwards."""
        early = None
        with trio.move_on_after(A_WHILE):
            early = await ask()
        return early, await self.late(ask)

    async def at_once_and_late(self, ask: Any) -> tuple[Any, Any]:
        """The same for what does not wait for the disk."""
        with trio.fail_after(10):
            early = await ask()
        return early, await self.late(ask)

    async def late(self, ask: Any) -> Any:
        """What is answered once the disk has it."""
        self.disk.open.set()
        with trio.fail_after(10):
            with self.queue._core.hub.watch(self.task_id) as watch:
                while self.queue._core.hub.seq < 2:
                    await watch.changed()
            return await ask()


@asynccontextmanager
async def half() -> AsyncIterator[Half]:
    disk = SlowDisk()
    backends = [SimulatedBackend("sim")]
    async with (
        open_queue(settings(), backends=backends, ledger=KeyValueLedger(disk)) as queue,
        trio.open_nursery() as nursery,
    ):
        await queue.pause()
        accepted = await queue.raw.submit(submission(), idempotency_key="order 17")
        disk.open.clear()
        disk.syncing.clear()
        nursery.start_soon(queue.cancel, accepted.task_id)
        while not disk.syncing.is_set():
            await trio.lowlevel.checkpoint()
        try:
            yield Half(queue, disk, accepted.task_id)
        finally:
            disk.open.set()


def submission():
    return decode_submission(json.dumps(GENERATE).encode())


async def test_a_resend_with_the_same_key():
    async with half() as at:

        async def resend() -> Status:
            again = await at.queue.raw.submit(submission(), idempotency_key="order 17")
            assert (again.task_id, again.created) == (at.task_id, False)
            return again.status

        early, late = await at.early_and_late(resend)
        assert early in (None, Status.PENDING)
        assert late is Status.CANCELLED


async def test_a_row_of_an_outbox_whose_step_changes_no_task():
    """Who works off rows acts on what no power cut takes back."""
    pauses = Outbox("pauses", lambda step: [b"row"] if isinstance(step, SetPaused) else [])
    disk = SlowDisk()
    disk.open.clear()
    ledger = KeyValueLedger(disk, [pauses])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.commit, [SetPaused(True)], 0)
        while not disk.syncing.is_set():
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(A_WHILE) as patience:
            await ledger.durable.rows("pauses", 0, 9)
        disk.open.set()
        assert patience.cancelled_caught
        assert [row.content for row in await ledger.durable.rows("pauses", 0, 9)] == [b"row"]
    await ledger.close()


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks?view=summary", "/api/tasks/ID"])
async def test_a_task_as_it_is_shown(path: str):
    async with half() as at:

        async def show() -> str:
            answer = (await at.api.get(path.replace("ID", at.task_id))).json
            return (answer[0] if isinstance(answer, list) else answer)["status"]

        early, late = await at.early_and_late(show)
        assert early in (None, "pending")
        assert late == "cancelled"


@pytest.mark.parametrize("query", ["", "?status=cancelled&q=hello", "?status=cancelled"])
async def test_how_many_there_are(query: str):
    async with half() as at:

        async def count() -> int:
            answer = (await at.api.get(f"/api/tasks/count{query}")).json
            return answer["count"]

        if query:
            early, late = await at.early_and_late(count)
            assert early in (None, 0)
        else:
            early, late = await at.at_once_and_late(count)
            assert early == 1
        assert late == 1


async def test_the_figures():
    async with half() as at:

        async def figures() -> list[Any]:
            text = (await at.api.get("/metrics")).body.decode()
            (gauge,) = [
                line for line in text.split("\n") if line.startswith('oq_tasks{status="cancelled"}')
            ]
            shown = (await at.api.get("/api/status")).json
            return [
                at.queue.status().cancelled_tasks,
                shown["cancelled_tasks"],
                shown["event_seq"] - 1,
                int(float(gauge.split()[1])),
            ]

        early, late = await at.at_once_and_late(figures)
        assert early == [0] * 4
        assert late == [1] * 4


async def test_the_end_of_a_stream():
    async with half() as at:

        async def read() -> Status | None:
            async with at.queue.stream(at.task_id) as chunks:
                return [chunk async for chunk in chunks][-1].status

        early, late = await at.early_and_late(read)
        assert early is None
        assert late is Status.CANCELLED


async def test_which_tasks_a_bulk_wish_concerns():
    async with half() as at:
        wanted = TaskFilter(status=frozenset({Status.CANCELLED}))
        early, late = await at.early_and_late(lambda: at.queue._core.listing.ids(wanted, 10))
        assert early in (None, ([], False))
        assert late == ([at.task_id], False)


async def test_what_a_read_raises_reaches_the_one_who_reads_and_nobody_else(monkeypatch):
    async with half() as at:

        def unreadable(*asked: object) -> None:
            raise StoreCorrupt("this record cannot be read")

        monkeypatch.setattr(looks, "ids", unreadable)

        async def read() -> str:
            try:
                await at.queue._core.listing.ids(TaskFilter(), 10)
            except StoreCorrupt as error:
                return str(error)
            return "nothing was wrong"

        early, late = await at.early_and_late(read)
        assert early is None
        assert late == "this record cannot be read"
        assert (await at.queue.raw.get(at.task_id)).status is Status.CANCELLED


class FailingDisk(SlowDisk):
    """Its syncs fail once `broken` is set."""

    broken = False

    def sync(self, commit: int) -> None:
        super().sync(commit)
        if self.broken:
            raise StoreError("fsync: input/output error")


@pytest.mark.parametrize("blocks", [True, False], ids=["in a thread", "at once"])
async def test_a_sync_that_fails_leaves_no_read_waiting(blocks):
    disk = FailingDisk()
    disk.sync_blocks = blocks
    ledger = KeyValueLedger(disk)
    await ledger.commit([new(1)], 0)
    disk.broken = True
    told: list[str] = []

    async def read() -> None:
        with pytest.raises(Unavailable, match="fsync: input/output error"):
            await ledger.durable.ids(TaskFilter(), None, 9)
        told.append("waited")

    async def commit() -> None:
        with pytest.raises(StoreError):
            await ledger.commit([new(2)], 0)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            if blocks:
                disk.open.clear()
                nursery.start_soon(commit)
                await wait_all_tasks_blocked()
                nursery.start_soon(read)
                await wait_all_tasks_blocked()
                disk.open.set()
            else:
                await commit()
        await read()
    assert len(told) == 1 + blocks
    assert (await ledger.durable.state(task_id(1))).id == task_id(1), "nothing of it is in doubt"
    with pytest.raises(StoreError):
        await ledger.close()


async def test_a_ledger_that_closes_leaves_no_read_waiting():
    """A commit was cancelled between its write and its sync."""
    ledger = KeyValueLedger(SlowDisk())
    await ledger.commit([], 0)
    with trio.move_on_after(0):
        await ledger.commit([new(1)], 0)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(Unavailable, match="the queue has closed"):
                    await ledger.durable.ids(TaskFilter(), None, 9)

            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            await ledger.close()
