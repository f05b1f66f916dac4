"""Reading what a task generates, while it does and afterwards."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import oq
from oq.backends.simulated import Script, SimulatedBackend
from oq.store import MemoryEngine
from oq.words.errors import NotFound
from oq.words.task import Status
from tests.support.queues import ended, generate, memory_queue, until


async def read(queue, task_id, **where) -> list[oq.Chunk]:
    async with queue.stream(task_id, **where) as chunks:
        return [chunk async for chunk in chunks]


def text(chunks: list[oq.Chunk]) -> str:
    """The text that a reader ends up with who obeys `restart`."""
    said = ""
    for chunk in chunks:
        said = "" if chunk.restart else said + chunk.data
    return said


async def test_the_text_comes_as_it_is_generated(autojump_clock):
    async with memory_queue() as queue:
        task_id = await queue.submit(generate(simulate={"text": "one two three four", "rate": 1}))
        times = []
        async with queue.stream(task_id) as chunks:
            seen = []
            async for chunk in chunks:
                seen.append(chunk)
                times.append(trio.current_time())
        assert text(seen) == "one two three four"
        assert len(seen) > 3
        assert times[-1] - times[0] > 2
        assert (seen[-1].done, seen[-1].status) == (True, Status.COMPLETED)
        assert not any(chunk.done for chunk in seen[:-1])


async def test_a_finished_task_replays_from_the_store_from_any_offset(autojump_clock):
    engine = MemoryEngine()
    async with memory_queue(engine) as queue:
        task_id = await queue.submit(generate(simulate={"text": "a b c d e f"}))
        await ended(queue, task_id)
    async with memory_queue(engine) as queue:
        whole = await read(queue, task_id)
        assert text(whole) == "a b c d e f"
        last = whole[-1]
        rest = [text(await read(queue, task_id, offset=n)) for n in range(last.offset + 1)]
        assert rest[0] == "a b c d e f"
        assert all("a b c d e f".endswith(end) for end in rest)
        assert rest[-1] == ""


async def test_a_reader_that_comes_late_gets_everything_and_several_the_same(autojump_clock):
    async with memory_queue() as queue:
        task_id = await queue.submit(generate(simulate={"text": "w " * 50, "rate": 10}))
        texts: list[str] = []

        async def follow(delay: float) -> None:
            await trio.sleep(delay)
            texts.append(text(await read(queue, task_id)))

        async with trio.open_nursery() as nursery:
            for delay in (0, 1, 2.5, 4.9, 60):
                nursery.start_soon(follow, delay)
        assert len(set(texts)) == 1
        assert texts[0].split() == ["w"] * 50


async def test_a_new_attempt_tells_its_readers_to_start_anew(autojump_clock):
    backend = SimulatedBackend()
    backend.simulator.push(Script(text="never to be kept", fault="cut", at=2, rate=1))
    backend.simulator.push(Script(text="the real answer", rate=1))
    async with memory_queue(backend=backend) as queue:
        task_id = await queue.submit(generate())
        seen = await read(queue, task_id)
        assert [chunk.restart for chunk in seen].count(True) == 1
        assert text(seen) == "the real answer"
        assert len({chunk.attempt for chunk in seen}) == 2


async def test_text_of_an_attempt_that_failed_is_void_when_the_last_one_said_nothing(
    autojump_clock,
):
    backend = SimulatedBackend()
    backend.simulator.push(Script(text="a b c", fault="cut", at=2), Script(status=500))
    async with memory_queue(backend=backend) as queue:
        task_id = await queue.submit(generate(max_retries=1))
        live = await read(queue, task_id)
        assert live[-1].status is Status.FAILED
        assert text(live) == text(await read(queue, task_id)) == ""


async def test_an_offset_of_an_earlier_attempt_starts_anew(autojump_clock):
    backend = SimulatedBackend()
    backend.simulator.push(Script(text="x y z", fault="cut", at=2))
    backend.simulator.push(Script(text="the real answer"))
    async with memory_queue(backend=backend) as queue:
        task_id = await queue.submit(generate())
        async with queue.stream(task_id) as chunks:
            first = await chunks.__anext__()
        await ended(queue, task_id)
        seen = await read(queue, task_id, offset=first.offset, attempt=first.attempt)
        assert seen[0].restart
        assert text(seen) == "the real answer"


async def test_thinking_and_tool_calls_are_kept(autojump_clock):
    async with memory_queue() as queue:
        task = oq.chat(
            "m", "what is the weather?", extra={"tools": [{"type": "function"}], "think": True},
            options={"simulate": {
                "text": "sunny", "thinking": "hmm", "tool_calls": [{"name": "weather"}],
            }},
        )  # fmt: skip
        task_id = await queue.submit(task)
        await ended(queue, task_id)
        seen = await read(queue, task_id)
        assert "".join(chunk.thinking or "" for chunk in seen) == "hmm"
        calls = [call for chunk in seen for call in chunk.tool_calls or ()]
        assert [call["function"]["name"] for call in calls] == ["weather"]


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_task_that_does_not_complete_ends_its_stream_with_why(how, autojump_clock):
    async with memory_queue() as queue:
        script = {"text": "a b c d", "fault": "hang" if how == "cancelled" else "error", "at": 2}
        task_id = await queue.submit(generate(simulate=script, max_retries=0))
        seen: list[oq.Chunk] = []

        async def follow() -> None:
            seen.extend(await read(queue, task_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            if how == "cancelled":
                await until(queue, task_id, Status.RUNNING)
                await trio.testing.wait_all_tasks_blocked()
                await queue.cancel(task_id)
        assert (seen[-1].done, seen[-1].status) == (True, Status(how))
        assert bool(seen[-1].error) == (how == "failed")
        assert text(seen) == text(await read(queue, task_id)) != ""


async def test_a_stream_of_nothing_is_refused(autojump_clock):
    async with memory_queue() as queue:
        with pytest.raises(NotFound):
            await read(queue, "01900000-0000-7000-8000-000000000000")


async def test_a_queue_that_closes_ends_its_streams_and_they_go_on_after_it(autojump_clock):
    engine, backend = MemoryEngine(), SimulatedBackend()
    seen: list[oq.Chunk] = []
    async with (
        trio.open_nursery() as nursery,
        memory_queue(engine, backend, queue={"drain_timeout": 1}) as queue,
    ):
        task_id = await queue.submit(generate(simulate={"text": "a b c d", "rate": 0.5}))

        async def follow() -> None:
            seen.extend(await read(queue, task_id))

        nursery.start_soon(follow)
        await trio.sleep(5)
    assert not seen[-1].done
    async with memory_queue(engine, backend) as queue:
        last = seen[-1]
        seen += await read(queue, task_id, offset=last.offset, attempt=last.attempt)
    assert text(seen) == "a b c d"
    assert seen[-1].done
