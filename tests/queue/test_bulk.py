"""One wish about many tasks."""

from __future__ import annotations

import pytest
import trio

from oq.queue import bulk
from oq.rules.filters import TaskFilter
from oq.store import MemoryEngine
from oq.words.errors import Busy, InvalidTask, Unavailable
from oq.words.messages import Verb
from oq.words.steps import Change
from oq.words.task import Status
from tests.support.http import GENERATE, HANG, UNKNOWN, api
from tests.support.queues import generate, memory_queue

NOT_A_TASK = "there is no task"


class Counting(MemoryEngine):
    """Counts the records of tasks that are read."""

    read = 0

    def get(self, family: str, key: bytes) -> bytes | None:
        self.read += family == "state"
        return super().get(family, key)


async def waiting(queue, count: int, **terms) -> list[str]:
    await queue.pause()
    return await queue.submit_many([generate(**terms) for _ in range(count)])


async def test_thousands_are_cancelled_and_share_their_syncs(autojump_clock):
    async with memory_queue() as queue:
        ids = await waiting(queue, 3000)
        commits: list[int] = []
        queue.observe(lambda committed: commits.append(len(committed.steps)))
        outcome = await queue.raw.bulk(Verb.CANCEL, TaskFilter())
        assert (outcome.matched, outcome.done, outcome.skipped) == (3000, 3000, 0)
        assert outcome.problems == []
        assert not outcome.more
        assert queue.status().cancelled_tasks == len(ids)
        assert queue.status().pending_tasks == 0
        assert len(commits) <= 3000 / 100, "many commands have to share a sync"
        assert max(commits) <= bulk.LANES * bulk.AT_ONCE, "nobody waits behind thousands"


async def test_each_of_the_actions(autojump_clock):
    async with memory_queue() as queue:
        ids = await waiting(queue, 3)
        assert (await queue.raw.bulk(Verb.PRIORITY, ids[:2], "high")).done == 2
        assert queue.status().queues_by_priority == {"5": 1, "10": 2}
        assert (await queue.raw.bulk(Verb.CANCEL, ids)).done == 3
        assert (await queue.raw.bulk(Verb.RETRY, TaskFilter())).done == 3
        assert queue.status().pending_tasks == 3
        assert (await queue.raw.bulk(Verb.CANCEL, ids[:1])).done == 1
        assert (await queue.raw.bulk(Verb.DELETE, TaskFilter())).matched == 1
        assert queue.status().total_tasks == 2


async def test_running_tasks_are_cancelled_too(autojump_clock):
    async with memory_queue() as queue:
        hang = {"fault": "hang"}
        ids = await queue.submit_many([generate(simulate=hang) for _ in range(5)])
        outcome = await queue.raw.bulk(Verb.CANCEL, ids)
        assert outcome.done == 5
        assert queue.status().cancelled_tasks == 5


async def test_what_is_refused_is_told_task_by_task(autojump_clock):
    async with memory_queue() as queue:
        (waits,) = await waiting(queue, 1)
        outcome = await queue.raw.bulk(Verb.RETRY, [waits, UNKNOWN, "nonsense", UNKNOWN])
        assert (outcome.matched, outcome.done, outcome.skipped) == (3, 0, 3)
        told = {problem.task_id: problem.error for problem in outcome.problems}
        assert "pending" in told[waits]
        assert NOT_A_TASK in told[UNKNOWN]
        assert NOT_A_TASK in told["nonsense"]


async def test_of_many_problems_the_first_are_told(autojump_clock):
    async with memory_queue() as queue:
        outcome = await queue.raw.bulk(Verb.CANCEL, [f"task {n}" for n in range(300)])
        assert outcome.skipped == 300
        assert len(outcome.problems) == bulk.MAX_PROBLEMS


async def test_there_is_a_limit(autojump_clock):
    async with memory_queue(queue={"max_bulk": 10}) as queue:
        ids = await waiting(queue, 15)
        with pytest.raises(InvalidTask, match=r"queue\.max_bulk"):
            await queue.raw.bulk(Verb.CANCEL, ids)
        outcome = await queue.raw.bulk(Verb.CANCEL, TaskFilter())
        assert (outcome.done, outcome.more) == (10, True)
        outcome = await queue.raw.bulk(Verb.CANCEL, TaskFilter())
        assert (outcome.done, outcome.more) == (5, False)


async def test_those_for_which_there_was_no_room_are_tried_again(autojump_clock, monkeypatch):
    monkeypatch.setattr("oq.queue.wiring.MAILBOX", 4)
    monkeypatch.setattr("oq.queue.bulk.AT_ONCE", 1)
    monkeypatch.setattr("oq.queue.bulk.LANES", 12)
    async with memory_queue() as queue:
        await waiting(queue, 12)
        refusals = 0
        real = queue._core.ask_many

        async def counted(command) -> None:
            nonlocal refusals
            await real(command)
            refusals += sum(isinstance(error, Busy) for error in command.refused.values())

        queue._core.ask_many = counted
        outcome = await queue.raw.bulk(Verb.CANCEL, TaskFilter())
        assert refusals, "the mailbox was never full: the test tests nothing"
        assert outcome.done == 12


async def test_each_record_is_read_once_and_each_commit_is_a_full_one(autojump_clock):
    engine = Counting()
    async with memory_queue(engine) as queue:
        await waiting(queue, 4 * bulk.AT_ONCE)
    async with memory_queue(engine) as queue:  # which remembers none of them
        commits: list[int] = []
        queue.observe(lambda committed: commits.append(len(committed.steps)))
        engine.read = 0
        outcome = await queue.raw.bulk(Verb.CANCEL, TaskFilter())
        assert outcome.done == 4 * bulk.AT_ONCE
        assert engine.read == outcome.done
        assert sum(commits) == outcome.done
        assert len(commits) <= 4


async def test_two_wishes_about_the_same_tasks_agree(autojump_clock):
    async with memory_queue() as queue:
        ids = await waiting(queue, 20)
        outcomes = []

        async def cancel() -> None:
            outcomes.append(await queue.raw.bulk(Verb.CANCEL, ids))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            nursery.start_soon(cancel)
        assert sorted(outcome.done for outcome in outcomes) == [0, 20]
        assert all("cancelled already" in one.error for o in outcomes for one in o.problems)
        assert queue.status().cancelled_tasks == 20


async def test_problems_are_told_in_the_order_of_the_wish(autojump_clock):
    async with memory_queue() as queue:
        ids = await waiting(queue, 3)
        await queue.cancel(ids[1])
        outcome = await queue.raw.bulk(Verb.CANCEL, ["nonsense", ids[0], ids[1], UNKNOWN])
        assert [one.task_id for one in outcome.problems] == ["nonsense", ids[1], UNKNOWN]


async def test_a_closed_queue_says_so(autojump_clock):
    async with memory_queue() as queue:
        ids = await waiting(queue, 2 * bulk.AT_ONCE)
    with pytest.raises(Unavailable, match="has closed"):
        await queue.raw.bulk(Verb.CANCEL, ids)


async def test_others_are_served_in_between(autojump_clock):
    async with memory_queue() as queue:
        await waiting(queue, 8 * bulk.AT_ONCE)
        submitted: list[int] = []

        async def submit() -> None:
            while True:
                await queue.submit(generate())
                submitted.append(queue.status().cancelled_tasks)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await queue.raw.bulk(Verb.CANCEL, TaskFilter(status=frozenset({Status.PENDING})))
            nursery.cancel_scope.cancel()
        assert len({count // bulk.AT_ONCE for count in submitted}) >= 4


async def test_beside_a_flood_each_step_is_one_commit_and_others_are_in_between(autojump_clock):
    async with memory_queue() as queue:
        ids = await waiting(queue, 8 * bulk.AT_ONCE)
        cancels: list[int] = []  # of each commit
        submitted = 0

        async def flood() -> None:
            nonlocal submitted
            while True:
                await queue.submit(generate())
                submitted += 1

        async with trio.open_nursery() as nursery:
            for _ in range(32):
                nursery.start_soon(flood)
            while not submitted:
                await trio.lowlevel.checkpoint()
            queue.observe(
                lambda committed: cancels.append(
                    sum(
                        isinstance(step, Change) and step.state.status is Status.CANCELLED
                        for step in committed.steps
                    )
                )
            )
            before = submitted
            assert (await queue.raw.bulk(Verb.CANCEL, ids)).done == len(ids)
            nursery.cancel_scope.cancel()
        steps = [count for count in cancels if count]
        assert len(steps) <= 2 * 8, "a step has to be one commit"
        assert max(steps) <= bulk.LANES * bulk.AT_ONCE
        assert submitted - before >= 8 * 32 // 2, "the flood goes on between the steps"


# -- over HTTP


async def test_bulk_over_http():
    async with api(paused=True) as oq:
        ids = [await oq.submit({**GENERATE, "model": model}) for model in ("a", "a", "b")]
        reply = await oq.post(
            "/api/tasks/bulk",
            {"action": "priority", "priority": "high", "filter": {"model": ["a"]}},
        )
        assert reply.json == {"matched": 2, "done": 2, "skipped": 0, "problems": [], "more": False}
        assert (await oq.get("/api/status")).json["queues_by_priority"] == {"5": 1, "10": 2}
        reply = await oq.post("/api/tasks/bulk", {"action": "cancel", "ids": [ids[0], UNKNOWN]})
        assert (reply.json["done"], reply.json["skipped"]) == (1, 1)
        assert reply.json["problems"][0]["task_id"] == UNKNOWN
        assert NOT_A_TASK in reply.json["problems"][0]["error"]
        wanted = {"status": ["cancelled"], "q": ids[0][-12:], "since": "2020-01-01T00:00:00Z"}
        reply = await oq.post("/api/tasks/bulk", {"action": "retry", "filter": wanted})
        assert (reply.json["matched"], reply.json["done"]) == (1, 1)


async def test_bulk_cancel_stops_what_runs():
    async with api(queue={"max_workers": 2}) as oq:
        for _ in range(2):
            await oq.running(HANG)
        reply = await oq.post(
            "/api/tasks/bulk", {"action": "cancel", "filter": {"status": ["running"]}}
        )
        assert reply.json["done"] == 2
        assert (await oq.get("/api/status")).json["workers_active"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "explode", "ids": []}, "action"),
        ({"action": "cancel"}, "ids"),
        ({"action": "cancel", "ids": [], "filter": {}}, "ids"),
        ({"action": "priority", "ids": []}, "priority"),
        ({"action": "cancel", "ids": [], "priority": 5}, "priority"),
        ({"action": "priority", "ids": [], "priority": 1000}, "priority"),
        ({"action": "cancel", "filter": {"statsu": ["pending"]}}, "statsu"),
        ({"action": "cancel", "filter": {"status": ["lost"]}}, "filter.status"),
        ({"action": "cancel", "filter": {"since": "yesterday"}}, "filter.since"),
        ({"action": "cancel", "ids": [7]}, "ids"),
        ([], ""),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused_by_name(body, field):
    async with api() as oq:
        reply = await oq.post("/api/tasks/bulk", body)
        assert reply.status == 400
        assert field in reply.error


async def test_a_wish_has_no_more_values_than_a_task():
    """Each place in a list is work while everybody else waits."""
    async with api(queue={"max_values": 1000}) as oq:
        for wish in ({"ids": ["x"] * 1001}, {"filter": {"priority": ["1"] * 1001}}):
            reply = await oq.post("/api/tasks/bulk", {"action": "cancel", **wish})
            assert reply.status == 400
            assert "more than 1000 JSON values (queue.max_values)" in reply.error
