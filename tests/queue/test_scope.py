"""What a caller may see is decided in one place, `oq.rules.scope`: here tasks belong to the caller
whose name is their model, as an owner would be.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oq.queue import Queue, RawQueue
from oq.rules import scope
from oq.rules.filters import Count, TaskFilter
from oq.words.caller import LOCAL, Caller
from oq.words.errors import NotFound
from oq.words.messages import Verb
from oq.words.task import Status
from tests.support.queues import generate, memory_queue

ANN, BOB = Caller(name="ann"), Caller(name="bob")
ALL = TaskFilter()


@pytest.fixture(autouse=True)
def owned(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(filter: TaskFilter, caller: Caller) -> TaskFilter:
        return filter if caller == LOCAL else replace(filter, model=frozenset({caller.name}))

    monkeypatch.setattr(scope, "narrow", narrow)


async def two(queue: Queue) -> tuple[RawQueue, str, str]:
    """Ann's view of a queue that is paused, a task of hers, and one of Bob's."""
    await queue.pause()
    mine, others = await queue.raw.submit_many([generate(model=m) for m in ("ann", "bob")])
    return queue.on_behalf_of(ANN), mine, others


async def test_listings_and_counts_show_a_caller_its_own_tasks():
    async with memory_queue() as queue:
        ann, mine, _ = await two(queue)
        assert [task.id for task in (await ann.list(ALL)).tasks] == [mine]
        assert [task.id for task in (await ann.list_summaries(ALL)).tasks] == [mine]
        assert await ann.count(ALL) == Count(1, exact=True)
        assert await queue.raw.count(ALL) == Count(2, exact=True)


async def test_a_task_of_another_is_as_unknown_as_one_that_there_is_not():
    async with memory_queue() as queue:
        ann, mine, others = await two(queue)
        assert (await ann.get(mine)).id == mine
        await ann.check_known(mine)
        for ask in (ann.get, ann.check_known, ann.cancel, ann.retry, ann.delete):
            with pytest.raises(NotFound):
                await ask(others)
        with pytest.raises(NotFound):
            await ann.get(others, wait=60)
        with pytest.raises(NotFound):
            await ann.set_priority(others, 9)
        with ann.stream(others) as chunks, pytest.raises(NotFound):
            await chunks.receive()
        assert (await queue.get(others)).status is Status.PENDING


async def test_bulk_wishes_reach_the_callers_own_tasks():
    async with memory_queue() as queue:
        ann, mine, others = await two(queue)
        outcome = await ann.bulk(Verb.PRIORITY, [mine, others], "high")
        assert [problem.task_id for problem in outcome.problems] == [others]
        assert (await ann.bulk(Verb.CANCEL, ALL)).done == 1
        assert (await queue.get(mine)).status is Status.CANCELLED
        assert (await queue.get(others)).status is Status.PENDING
        assert (await queue.on_behalf_of(BOB).bulk(Verb.CANCEL, [mine, others])).done == 1
