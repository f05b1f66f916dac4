"""The tasks of a conversation go to the backend that served it last. The times are those of the
mock clock.
"""

from __future__ import annotations

import msgspec

from oq.backends.simulated import SimulatedBackend
from oq.queue import Queue
from oq.store import MemoryEngine
from oq.words.config import to_config
from oq.words.task import Submission
from tests.queue.test_fleet import all_of, box, fleet, ran_on, submit

FOUR = {name: {"max_concurrency": 4} for name in ("one", "two")}


def chat(*said: str, **fields: str) -> Submission:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    payload = msgspec.Raw(msgspec.json.encode({"messages": messages, **fields}))
    return Submission(type="chat", model="m", payload=payload)


def boxes() -> tuple[SimulatedBackend, SimulatedBackend]:
    return box("one", "m", parallel=4), box("two", "m", parallel=4)


async def fill(queue: Queue) -> None:
    """So that both have the model in memory."""
    tasks = await all_of(queue, await submit(queue, *["m"] * 8))
    assert {ran_on(task) for task in tasks} == {"one", "two"}


async def test_a_conversation_goes_on_where_it_was(autojump_clock):
    async with fleet(*boxes(), backends=FOUR) as queue:
        await fill(queue)

        async def run(*tasks: Submission) -> list[str | None]:
            return [ran_on(one) for one in await all_of(queue, await queue.raw.submit_many(tasks))]

        assert await run(chat("a"), chat("b")) == ["one", "two"]
        assert await run(chat("c")) == ["one"], "of equals it is the first"
        assert await run(chat("b", "yes", "and now?")) == ["two"]
        # Nor does one wait for a slot there, or fill it while the other has nothing to do.
        assert await run(*[chat("b")] * 6) == ["two"] * 3 + ["one"] * 3
        assert await run(chat("x", prompt_cache_key="b"), chat("b")) == ["one", "one"]


async def test_no_conversations_are_remembered_if_there_is_no_room_for_any(autojump_clock):
    none = {"max_conversations": 0}
    async with fleet(*boxes(), backends=FOUR, scheduler=none) as queue:
        await fill(queue)
        await all_of(queue, await queue.raw.submit_many([chat("a"), chat("b")]))
        [again] = await all_of(queue, await queue.raw.submit_many([chat("b")]))
        assert ran_on(again) == "one"
        assert (await queue._core.ledger.state(again.id)).terms.conversation == 0


async def test_it_is_known_of_tasks_that_wait_over_a_restart(autojump_clock):
    engine, machines = MemoryEngine(), boxes()
    async with fleet(*machines, backends=FOUR, engine=engine) as queue:
        await fill(queue)
        await queue.raw.pause()
        ids = await queue.raw.submit_many([chat("a"), chat("b"), chat("b"), chat("b")])
    async with fleet(*machines, backends=FOUR, engine=engine) as queue:
        await queue.raw.resume()
        assert [ran_on(task) for task in await all_of(queue, ids)] == ["one", "two", "two", "two"]


async def test_with_one_backend_no_task_is_told_from_another(autojump_clock):
    engine = MemoryEngine()
    async with fleet(*boxes(), engine=engine) as queue:
        await queue.raw.pause()
        before = await queue.raw.submit_many([chat("a"), chat("b")])
    async with fleet(box("one", "m"), engine=engine) as queue:
        since = await queue.raw.submit_many([chat("c"), chat("d")])
        places = [queue._core.board._policy.place_of(one) for one in [*before, *since]]
        assert places[0] is not None
        assert all(place is places[0] for place in places)
        assert places[0].conversation == 0


def test_the_setting_has_a_default():
    assert to_config({}).scheduler.max_conversations == 10_000
