"""Looking through tasks: orders, texts, times, counts, and that nobody waits meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from msgspec import Raw

from oq.queue import listing
from oq.rules.filters import Count, Sort, TaskFilter
from oq.store import looks
from oq.words.errors import InvalidTask
from oq.words.task import Status
from tests.support.queues import generate, memory_queue, mock_wall_clock


async def walked(queue, **terms) -> list[str]:
    """Every id of a listing, over all of its pages."""
    found: list[str] = []
    page = await queue.raw.list_summaries(TaskFilter(**terms))
    while True:
        found += [task.id for task in page.tasks]
        if page.next is None:
            return found
        page = await queue.raw.list_summaries(TaskFilter(**{**terms, "after": page.next}))


async def waiting(queue, *priorities: int) -> list[str]:
    """Tasks that wait, one of each priority, in the order of submission."""
    await queue.pause()
    return [await queue.submit(generate(priority=level)) for level in priorities]


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_each_order_is_kept_over_pages(limit):
    async with memory_queue() as queue:
        a, b, c, d = await waiting(queue, 5, 10, 5, 1)
        assert await walked(queue, limit=limit) == [d, c, b, a]
        assert await walked(queue, limit=limit, sort=Sort.OLDEST) == [a, b, c, d]
        assert await walked(queue, limit=limit, sort=Sort.QUEUE) == [b, a, c, d]
        some = frozenset({Status.PENDING, Status.FAILED})
        assert await walked(queue, limit=limit, sort=Sort.OLDEST, status=some) == [a, b, c, d]


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_what_waits_for_its_time_comes_last_and_the_soonest_first(limit):
    async with memory_queue() as queue:
        await queue.pause()
        now = mock_wall_clock().now()
        late = await queue.submit(generate(priority=15, run_at=now + timedelta(hours=2)))
        soon = await queue.submit(generate(priority=1, run_at=now + timedelta(hours=1)))
        ready = await queue.submit(generate(priority=0))
        assert await walked(queue, limit=limit, sort=Sort.QUEUE) == [ready, soon, late]


async def test_the_queue_shows_nothing_but_what_waits():
    async with memory_queue() as queue:
        done = await queue.submit(generate())
        await queue.raw.get(done, wait=10)
        (pending,) = await waiting(queue, 5)
        assert await walked(queue, sort=Sort.QUEUE) == [pending]
        ended = frozenset({Status.COMPLETED})
        assert await walked(queue, sort=Sort.QUEUE, status=ended) == []


async def first_of(queue, count):
    """The first page of so many tasks: their ids, and where it goes on."""
    page = await queue.raw.list(TaskFilter(sort=Sort.QUEUE, limit=count))
    return [task.id for task in page.tasks], page.next


async def moved_to(queue, task_id, how):
    match how:
        case "gone":
            await queue.cancel(task_id)
            await queue.delete(task_id)
        case "has ended":
            await queue.cancel(task_id)
        case "to the front":
            await queue.set_priority(task_id, 100)
        case "to the end":
            await queue.set_priority(task_id, 0)


HOWS = ["gone", "has ended", "to the front", "to the end"]


@pytest.mark.parametrize("how", HOWS)
async def test_a_page_of_the_queue_goes_on_where_the_last_one_ended(how):
    """Whatever has become of the task that was the last on it: it may come a second time, at its
    new place, and no other is lost or repeated.
    """
    async with memory_queue() as queue:
        a, b, c, d = await waiting(queue, 5, 5, 5, 5)
        seen, after = await first_of(queue, 2)
        assert seen == [a, b]
        await moved_to(queue, b, how)
        rest = [b] if how == "to the end" else []
        assert await walked(queue, sort=Sort.QUEUE, after=after) == [c, d, *rest]


@pytest.mark.parametrize("how", HOWS[:2])
async def test_a_page_of_those_that_wait_for_their_time_does_so_too(how):
    async with memory_queue() as queue:
        await queue.pause()
        now = mock_wall_clock().now()
        ids = [
            await queue.submit(generate(run_at=now + timedelta(hours=hours))) for hours in (1, 2, 3)
        ]
        seen, after = await first_of(queue, 2)
        assert seen == ids[:2]
        await moved_to(queue, ids[1], how)
        assert await walked(queue, sort=Sort.QUEUE, after=after) == ids[2:]


async def test_one_whose_time_has_come_between_two_pages_was_among_the_ready_ones(autojump_clock):
    async with memory_queue() as queue:
        await queue.pause()
        soon = mock_wall_clock().now() + timedelta(seconds=10)
        due = await queue.submit(generate(priority=5, run_at=soon))
        later = await queue.submit(generate(priority=1, run_at=soon + timedelta(hours=1)))
        seen, after = await first_of(queue, 1)
        assert seen == [due]
        await trio.sleep(20)
        low = await queue.submit(generate(priority=0))
        assert await walked(queue, sort=Sort.QUEUE, after=after) == [low, later]


async def test_a_bare_id_is_a_place_while_its_task_is_there():
    async with memory_queue() as queue:
        a, b = await waiting(queue, 5, 5)
        assert await walked(queue, sort=Sort.QUEUE, after=a) == [b]
        await moved_to(queue, a, "gone")
        with pytest.raises(InvalidTask, match="Link"):
            await walked(queue, sort=Sort.QUEUE, after=a)


@pytest.mark.parametrize(
    "after", ["5~x", "x~{}", "5~~{}", "5~2026-01-01~{}", "5~1~2~{}", "101~{}", "~", "{}x", "5~{}~"]
)
def test_what_is_no_place_is_refused(after):
    place = after.replace("{}", "01990000-0000-7000-8000-000000000000")
    with pytest.raises(InvalidTask, match=r"after|priority"):
        TaskFilter(sort=Sort.QUEUE, after=place)


async def test_a_text_is_found_wherever_it_is_looked_for():
    async with memory_queue() as queue:
        await queue.pause()
        by_model = await queue.submit(generate(model="Llama-Blå"))
        by_prompt = await queue.submit(generate("tell me of LLAMAS"))
        by_metadata = await queue.submit(
            generate(metadata=Raw(b'{"who": "l\\u006cama keeper", "where": "Troms\\u00f8"}'))
        )
        other = await queue.submit(generate("nothing"))
        assert await walked(queue, text="llama") == [by_metadata, by_prompt, by_model]
        assert await walked(queue, text="blå") == [by_model]
        assert await walked(queue, text="tromsø") == [by_metadata]
        assert await walked(queue, text=other[-12:].upper()) == [other]
        assert await walked(queue, text="no such text") == []


async def test_a_time_bounds_when_tasks_were_submitted(autojump_clock):
    async with memory_queue() as queue:
        await queue.pause()
        first = await queue.submit(generate())
        await trio.sleep(60)
        between = mock_wall_clock().now()
        second = await queue.submit(generate())
        await trio.sleep(60)
        third = await queue.submit(generate())
        assert await walked(queue, since=between) == [third, second]
        assert await walked(queue, until=between) == [first]
        assert await walked(queue, since=between, until=between + timedelta(seconds=1)) == [second]


async def test_summaries_say_how_the_prompt_begins_and_leave_out_the_rest():
    async with memory_queue() as queue:
        await queue.pause()
        await queue.submit(generate("word " * 1000, metadata=Raw(b'{"a":1}')))
        (line,) = (await queue.raw.list_summaries(TaskFilter())).tasks
        assert line.excerpt == ("word " * 40).strip()
        assert bytes(line.metadata) == b'{"a":1}'
        assert line.queue_position == 1
        assert not hasattr(line, "payload")


async def test_a_count_is_exact_or_says_that_it_is_not(monkeypatch):
    async with memory_queue() as queue:
        await waiting(queue, 1, 5, 5, 5)
        pending = frozenset({Status.PENDING})
        assert await queue.raw.count(TaskFilter()) == Count(4, exact=True)
        assert await queue.raw.count(TaskFilter(status=pending)) == Count(4, exact=True)
        assert await queue.raw.count(TaskFilter(priority=frozenset({5}))) == Count(3, exact=True)
        assert await queue.raw.count(TaskFilter(text="hello", limit=1)) == Count(4, exact=True)
        monkeypatch.setattr(listing, "PAGE_ROWS", 2)
        assert await queue.raw.count(TaskFilter(status=pending)) == Count(4, exact=True)
        assert await queue.raw.count(TaskFilter(priority=frozenset({5}))) == Count(2, exact=False)


async def test_others_get_their_turn_while_a_page_is_looked_for(monkeypatch):
    monkeypatch.setattr(looks, "SLICE_ROWS", 1)
    async with memory_queue() as queue:
        ids = await waiting(queue, *[5] * 10)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            page = await queue.raw.list_summaries(TaskFilter(model=frozenset({"none"})))
            assert (page.tasks, page.next) == ([], None)
            assert turns >= 5
            assert await walked(queue, sort=Sort.QUEUE) == ids
            assert await walked(queue) == ids[::-1]
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("sort", Sort)
async def test_a_task_that_goes_while_a_page_is_looked_for_does_no_harm(sort, monkeypatch):
    monkeypatch.setattr(looks, "SLICE_ROWS", 1)
    async with memory_queue() as queue:
        ids = await waiting(queue, *[5] * 20)
        found: list[str] = []

        async def look() -> None:
            found.extend(await walked(queue, sort=sort))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            for task_id in ids[::-1][:10:2]:
                await queue.cancel(task_id)
                await queue.delete(task_id)
        assert len(set(found)) == len(found)
        assert set(ids) - set(ids[::-1][:10:2]) <= set(found)
