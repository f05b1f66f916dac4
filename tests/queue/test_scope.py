"""What a caller may see is decided in one place, `oq.rules.scope`: here that is written as it would
be if tasks had owners. An owner is a term; here it stands in the metadata.
"""

from __future__ import annotations

import msgspec
import pytest
import trio
from msgspec.structs import replace

from oq.actors.subscription import Subscription
from oq.dialects import ENDPOINTS
from oq.queue import Queue, RawQueue
from oq.queue.gateway_calls import NewCall
from oq.rules import scope
from oq.rules.filters import Count, TaskFilter
from oq.store import MemoryEngine
from oq.words.caller import LOCAL, Caller
from oq.words.errors import Conflict, InvalidBatch, NotFound, Removed
from oq.words.events import Event, EventType
from oq.words.messages import Verb
from oq.words.task import Status
from oq.words.terms import Terms
from tests.support.queues import ended, generate, memory_queue

ANN, BOB = Caller(name="ann"), Caller(name="bob")
ALL = TaskFilter()
SLOWLY = {"delay": 1, "rate": 1}


@pytest.fixture(autouse=True)
def owned(monkeypatch: pytest.MonkeyPatch) -> None:
    def mark_owner(terms: Terms, caller: Caller) -> Terms:
        if scope.sees_all(caller):
            return terms
        return replace(terms, metadata=msgspec.json.encode({"owner": caller.name}))

    def owner_of(terms: Terms) -> str | None:
        return None if terms.metadata is None else msgspec.json.decode(terms.metadata).get("owner")

    def claim_name(terms: Terms) -> str | None:
        key, owner = terms.idempotency_key, scope.owner_of(terms)
        return key if key is None or owner is None else f"{owner}\n{key}"

    monkeypatch.setattr(scope, "mark_owner", mark_owner)
    monkeypatch.setattr(scope, "owner_of", owner_of)
    monkeypatch.setattr(scope, "claim_name", claim_name)
    monkeypatch.setattr(scope, "sees_all", lambda caller: caller.name == LOCAL.name)


async def two(queue: Queue) -> tuple[RawQueue, str, str]:
    """Ann's view of a queue that is paused, a task of hers, and one of Bob's."""
    await queue.pause()
    ann, bob = queue.on_behalf_of(ANN), queue.on_behalf_of(BOB)
    mine = (await ann.submit(generate(simulate=SLOWLY))).task_id
    (others,) = await bob.submit_many([generate(simulate=SLOWLY)])
    return ann, mine, others


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


async def test_who_sees_some_tasks_only_is_not_told_that_a_task_was_removed(autojump_clock):
    async with memory_queue(queue={"keep_completed": 1, "cleanup_interval": 1}) as queue:
        ann = queue.on_behalf_of(ANN)
        mine = (await ann.submit(generate())).task_id
        while True:
            try:
                await queue.raw.check_known(mine)
            except Removed:
                break
            await trio.sleep(1)
        for ask in (ann.get, ann.check_known, ann.delete):
            with pytest.raises(NotFound) as unknown:
                await ask(mine)
            assert not isinstance(unknown.value, Removed)


async def test_bulk_wishes_reach_the_callers_own_tasks():
    async with memory_queue() as queue:
        ann, mine, others = await two(queue)
        outcome = await ann.bulk(Verb.PRIORITY, [mine, others], "high")
        assert [problem.task_id for problem in outcome.problems] == [others]
        assert (await ann.bulk(Verb.CANCEL, ALL)).done == 1
        assert (await queue.get(mine)).status is Status.CANCELLED
        assert (await queue.get(others)).status is Status.PENDING
        assert (await queue.on_behalf_of(BOB).bulk(Verb.CANCEL, [mine, others])).done == 1


async def test_an_idempotency_key_is_that_of_its_owner():
    engine = MemoryEngine()
    async with memory_queue(engine) as queue:
        await queue.pause()
        ann, bob = queue.on_behalf_of(ANN), queue.on_behalf_of(BOB)
        mine, others, nobodys = [
            (await each.submit(generate(name), idempotency_key="k")).task_id
            for name, each in (("ann", ann), ("bob", bob), ("nobody", queue.raw))
        ]
        assert len({mine, others, nobodys}) == 3
        with pytest.raises(Conflict, match="the idempotency key 'k' belongs"):
            await ann.submit(generate("bob"), idempotency_key="k")
        with pytest.raises(InvalidBatch, match="'k2' belongs"):
            await ann.submit_many([generate(text, idempotency_key="k2") for text in ("1", "2")])
        call = NewCall(
            call=ENDPOINTS["/api/chat"], body=b"{}", model="m", priority=5, caller=BOB
        )  # fmt: skip
        with pytest.raises(Conflict):
            await queue.calls.accept(call, "k")
    async with memory_queue(engine) as queue:  # from here on the ledger alone knows
        ann = queue.on_behalf_of(ANN)
        assert (await ann.submit(generate("ann"), idempotency_key="k")).task_id == mine


async def test_a_removal_frees_the_key_of_the_tasks_owner_alone():
    async with memory_queue() as queue:
        await queue.pause()
        ann, bob = queue.on_behalf_of(ANN), queue.on_behalf_of(BOB)
        mine, others = [
            (await each.submit(generate(), idempotency_key="k")).task_id for each in (ann, bob)
        ]
        await ann.cancel(mine)
        await ann.delete(mine)
        assert (await bob.submit(generate(), idempotency_key="k")).task_id == others
        assert (await ann.submit(generate(), idempotency_key="k")).created


async def test_a_subscriber_gets_the_events_of_its_own_tasks(autojump_clock):
    async with memory_queue() as queue:
        ann, mine, others = await two(queue)
        with ann.subscribe(after=0) as told, ann.subscribe(task_id=others, after=0) as nothing:
            for task_id in (others, mine):
                await queue.set_priority(task_id, "high")
            assert await told_of(told, EventType.PRIORITY_UPDATED) == [
                (mine, EventType.TASK_SUBMITTED), (mine, EventType.PRIORITY_UPDATED),
            ]  # fmt: skip
            with trio.move_on_after(60) as patience:
                await anext(nothing)
            assert patience.cancelled_caught


async def test_progress_is_reported_to_who_may_see_the_task(autojump_clock):
    async with memory_queue() as queue:
        ann, mine, others = await two(queue)
        await assert_progress_is_the_owners(queue, ann, mine, others)


async def test_a_task_of_nobody_beside_one_that_is_owned_is_told_to_who_sees_all(autojump_clock):
    """Both start in one commit. Only the progress of the owned one is the owner's."""
    async with memory_queue(queue={"max_workers": 2}) as queue:
        ann, mine, _ = await two(queue)
        await queue.set_priority(mine, "high")
        nobodys = await queue.submit(generate(priority="high", simulate=SLOWLY))
        await assert_progress_is_the_owners(queue, ann, mine, nobodys)


async def assert_progress_is_the_owners(queue, ann, mine: str, other: str) -> None:
    """Both tasks run: she is told of hers alone, and who sees all of the other one too."""
    wanted = {EventType.TASK_PROGRESS, EventType.TASK_COMPLETED}
    with ann.subscribe(types=wanted) as hers, queue.raw.subscribe(types=wanted) as all_of_it:
        await queue.resume()
        await ended(queue, other)
        await ended(queue, mine)
        told = await told_of(hers, EventType.TASK_COMPLETED)
        assert {task_id for task_id, _ in told} == {mine}
        assert (mine, EventType.TASK_PROGRESS) in told
        assert (other, EventType.TASK_PROGRESS) in await told_of(all_of_it, None)


async def told_of(events: Subscription, last: EventType | None) -> list[tuple[str, EventType]]:
    """The events so far, or up to the first of this type."""
    told: list[tuple[str, EventType]] = []
    while (last is not None and last not in {kind for _, kind in told}) or not told:
        told += [(e.task_id, e.type) for e in await anext(events) if isinstance(e, Event)]
    return told
