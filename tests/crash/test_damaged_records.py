"""A record that cannot be decoded is shown as damaged, with what to do; all else goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from oq.http.app import create_app
from oq.store import MemoryEngine, Store
from oq.store.keys import pack
from oq.words.errors import Conflict, StoreCorrupt
from oq.words.task import Status
from tests.support.http import Api
from tests.support.queues import ended, generate, memory_queue, until

HOUR = 3600.0
GARBAGE = [b"", b"\xc1", b"\x00" * 40, b"\x81\xa2id\xa2\xff\xfe"]


class Disk(MemoryEngine):
    """`unreadable`: the blocks of these records, by family and key."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: set[tuple[str, bytes]] = set()

    def get(self, family, key):
        if (family, key) in self.unreadable:
            raise StoreCorrupt("block checksum mismatch")
        return super().get(family, key)

    def scan(self, family, low, high, *, reverse=False):
        for key, value in super().scan(family, low, high, reverse=reverse):
            if (family, key) in self.unreadable:
                raise StoreCorrupt("block checksum mismatch")
            yield key, value


@asynccontextmanager
async def over(engine: Disk) -> AsyncIterator[Api]:
    async with memory_queue(engine) as queue:
        yield Api(create_app(queue), queue)


async def filled(status: str) -> tuple[Disk, list[str]]:
    """Three tasks in this state."""
    disk = Disk()
    async with memory_queue(disk) as queue:
        if status != "completed":
            await queue.pause()
        ids = await queue.submit_many([generate(name) for name in "abc"])
        for task_id in ids:
            if status == "completed":
                await ended(queue, task_id)
            elif status == "cancelled":
                await queue.cancel(task_id)
    return disk, ids


def spoil(disk: Disk, family: str, task_id: str, garbage: bytes | None) -> None:
    """Make a record undecodable; None: its block cannot be read."""
    if garbage is None:
        disk.unreadable.add((family, pack(task_id)))
    else:
        disk.write([(family, pack(task_id), garbage)])


@pytest.mark.parametrize("status", ["pending", "completed", "cancelled"])
@pytest.mark.parametrize("garbage", [*GARBAGE, None])
async def test_every_way_of_reading_shows_it_and_all_the_others(autojump_clock, status, garbage):
    disk, ids = await filled(status)
    spoil(disk, "state", ids[1], garbage)
    async with over(disk) as oq:
        for query in ["", "?view=summary", f"?status={status}", "?sort=oldest"]:
            shown = (await oq.get(f"/api/tasks{query}")).json
            assert sorted(task["id"] for task in shown) == ids
            assert [task["id"] for task in shown if task.get("damaged")] == [ids[1]]
        one = (await oq.get(f"/api/tasks/{ids[1]}")).json
        assert (one["status"], one["damaged"]) == (status, True)
        assert "oq salvage" in one["error"]
        assert (await oq.get("/api/tasks/count?q=zzz")).json["count"] == 0
        assert (await oq.get(f"/api/tasks/count?status={status}")).json["count"] == 3
        assert (await oq.get("/api/status")).json["total_tasks"] == 3


@pytest.mark.parametrize("garbage", [*GARBAGE, None])
@pytest.mark.parametrize("family", ["body", "result"])
async def test_a_part_of_a_task_that_is_damaged_is_left_out(autojump_clock, family, garbage):
    disk, ids = await filled("completed")
    spoil(disk, family, ids[1], garbage)
    async with over(disk) as oq:
        shown = {task["id"]: task for task in (await oq.get("/api/tasks")).json}
        assert [task_id for task_id in ids if shown[task_id].get("damaged")] == [ids[1]]
        assert ("result" in shown[ids[1]]) == (family == "body")
        assert "oq salvage" in shown[ids[1]]["error"]
        assert "result" in shown[ids[0]]
        assert (await oq.get("/api/tasks?view=summary&q=a")).status == 200


@pytest.mark.parametrize("garbage", [*GARBAGE, None])
async def test_a_result_that_is_damaged_is_not_an_empty_one(autojump_clock, garbage):
    disk, ids = await filled("completed")
    spoil(disk, "result", ids[1], garbage)
    async with memory_queue(disk) as queue:
        assert await queue.result(ids[0])
        with pytest.raises(
            StoreCorrupt, match=f"{ids[1]} has completed, but its result is lost: .*oq salvage"
        ):
            await queue.result(ids[1])


@pytest.mark.parametrize("garbage", [*GARBAGE, None])
async def test_a_damaged_stream_ends_with_the_reason(autojump_clock, garbage):
    disk, ids = await filled("completed")
    spoil(disk, "stream", ids[1], garbage)
    async with over(disk) as oq:
        reply = await oq.get(f"/api/tasks/{ids[1]}/stream")
        last = json.loads(reply.body.splitlines()[-1])
        assert (last["done"], last["status"]) == (True, "completed")
        assert "generated" in last["error"] or "checksum" in last["error"]


@pytest.mark.parametrize("garbage", [*GARBAGE, None])
async def test_the_queue_starts_and_the_task_fails_alone(autojump_clock, garbage):
    disk, ids = await filled("pending")
    spoil(disk, "state", ids[1], garbage)
    async with over(disk) as oq:
        await oq.queue.resume()
        tasks = [await ended(oq.queue, task_id) for task_id in ids]
        assert [task.status for task in tasks] == ["completed", "failed", "completed"]
        assert "oq salvage" in (tasks[1].error or "")
        with pytest.raises(Conflict, match="only deleted"):
            await oq.queue.retry(ids[1])


async def test_one_that_was_running_does_not_stop_the_start(autojump_clock):
    disk, ids = await filled("pending")
    key = pack(ids[0])
    disk.write([("status", b"p" + key, None), ("status", b"r" + key, b"")])
    meta = disk.get("meta", b"meta")
    assert meta is not None
    counts = meta.replace(b"pending\x03", b"pending\x02").replace(b"running\x00", b"running\x01")
    disk.write([("meta", b"meta", counts), ("state", key, b"\xc1")])
    async with over(disk) as oq:
        task = await ended(oq.queue, ids[0])
        assert (task.status, task.damaged) == (Status.FAILED, True)


@pytest.mark.parametrize("status", ["pending", "completed"])
@pytest.mark.parametrize("garbage", [b"\xc1", None])
async def test_it_can_be_removed_and_nothing_stays_behind(autojump_clock, status, garbage):
    disk, ids = await filled(status)
    spoil(disk, "state", ids[1], garbage)
    async with over(disk) as oq:
        if status == "pending":
            await oq.queue.cancel(ids[1])
            disk.unreadable.clear()
        await oq.queue.delete(ids[1])
        assert (await oq.get(f"/api/tasks/{ids[1]}")).status == 404
        disk.unreadable.clear()
        assert len((await oq.get("/api/tasks")).json) == 2
    for family in ("state", "body", "result", "stream", "status", "ended"):
        rows = disk.scan(family, b"", b"\xff" * 40)
        assert not [key for key, _ in rows if pack(ids[1]) in key], family


async def test_the_janitor_removes_it_like_any_other(autojump_clock):
    disk, ids = await filled("completed")
    spoil(disk, "state", ids[0], b"\xc1")
    async with memory_queue(disk, queue={"max_completed_tasks": 1}) as queue:
        while queue.status().total_tasks > 1:
            with queue._core.hub.watch(ids[0]) as watch:
                await watch.changed()
        assert [task.id for task in await queue.list()] == [ids[2]]


async def test_a_key_whose_task_is_gone_can_be_used_again(autojump_clock):
    disk = Disk()
    async with memory_queue(disk) as queue:
        first = await queue.submit(generate("a"), idempotency_key="order 17")
        await ended(queue, first)
        spoil(disk, "state", first, b"\xc1")
        await queue.delete(first)
        assert await queue.submit(generate("a"), idempotency_key="order 17") != first


async def test_one_that_nobody_has_read_is_not_counted_for_ever(autojump_clock):
    disk = Disk()
    async with memory_queue(disk) as queue:
        [task_id] = await queue.submit_many([generate("a")])
        with queue._core.hub.watch(task_id) as watch:
            while queue.status().completed_tasks < 1:
                await watch.changed()
        spoil(disk, "state", task_id, b"\xc1")
        await queue.delete(task_id)
    assert Store(disk).facts.unread == 0


def spoil_index(disk: Disk, family: str, prefix: bytes, count: int) -> None:
    """Make the first rows of an index unreadable."""
    rows = dict(MemoryEngine.scan(disk, family, prefix, prefix + b"\xff" * 30))
    disk.unreadable |= {(family, key) for key in list(rows)[:count]}


async def test_the_clean_up_steps_over_what_of_the_index_is_damaged(autojump_clock):
    disk, _ = await filled("completed")
    spoil_index(disk, "ended", b"", 2)
    async with memory_queue(disk, queue={"keep_completed": "1h"}) as queue:
        await trio.sleep(4 * HOUR)
        assert queue.status().completed_tasks == 2, "nobody can tell when these ended"
        for task in await queue.list():
            assert await queue.result(task.id), "it can be read"
            await queue.delete(task.id)
        assert queue.status().total_tasks == 0


async def test_what_was_read_is_noted_as_far_as_the_index_can_be_read(autojump_clock):
    disk, ids = await filled("completed")
    spoil_index(disk, "ended", b"", 2)
    async with memory_queue(disk) as queue:
        for task_id in ids:
            await queue.get(task_id)
        await trio.sleep(2 * HOUR)
        await queue.submit(generate())
    assert Store(disk).facts.unread == 0


async def test_removed_ids_are_forgotten_as_far_as_they_can_be_read(autojump_clock):
    disk, ids = await filled("completed")
    async with memory_queue(disk, queue={"keep_completed": "1h"}) as queue:
        await trio.sleep(4 * HOUR)
        assert queue.status().total_tasks == 0
    spoil_index(disk, "meta", b"\0", 1)
    async with memory_queue(disk, queue={"keep_removed_ids": "1h"}) as queue:
        await trio.sleep(4 * HOUR)
        outcome = await queue.bulk("delete", ids)
        assert outcome.skipped == 3
    disk.unreadable.clear()
    assert Store(disk).facts.gone == 1


async def test_a_queue_closes_though_it_cannot_read_what_runs(autojump_clock):
    disk = Disk()
    with trio.CancelScope() as haste:
        async with memory_queue(disk) as queue:
            task_id = await queue.submit(generate(simulate={"fault": "hang"}))
            await until(queue, task_id, Status.RUNNING)
            disk.unreadable.add(("status", b"r" + pack(task_id)))
            haste.cancel()
            await trio.lowlevel.checkpoint()
    assert haste.cancelled_caught
