"""What every ledger promises of outboxes (see `oq.store.ledger`): no step is missed."""

from __future__ import annotations

from collections.abc import Iterator

from oq.rules import lifecycle
from oq.rules.outbox import Outbox
from oq.store import Ledger, Row
from oq.words.steps import Change, Removal, RowsSettled, SetPaused, Step
from tests.support.builders import at, finish, new, start, task_id


def stages(step: Step) -> Iterator[bytes]:
    """A row for each change, and two for each removal."""
    if isinstance(step, Change):
        yield f"{step.state.id[-1]} {step.state.status}".encode()
    elif isinstance(step, Removal):
        yield from (b"gone", step.state.id.encode())


def pauses(step: Step) -> Iterator[bytes]:
    if isinstance(step, SetPaused):
        yield b""


STAGES, PAUSES = Outbox("stage", stages), Outbox("stages", pauses)
OUTBOXES = (STAGES, PAUSES)


async def commit(ledger: Ledger, *steps: Step) -> None:
    await ledger.commit(steps, ledger.facts.event_seq)


async def rows(ledger: Ledger, outbox: Outbox = STAGES, after: int = 0, most: int = 99):
    return await ledger.durable.rows(outbox.name, after, most)


async def left(ledger: Ledger) -> list[bytes]:
    return [row.content for row in await rows(ledger)]


async def test_a_step_leaves_its_rows_in_its_commit_and_they_outlive_the_process(shelf):
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        assert await rows(ledger) == []
        await commit(ledger, new(1), new(2))
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        assert await left(ledger) == [b"1 pending", b"2 pending"]
        await commit(ledger, start(await ledger.state(task_id(1))))
        assert await left(ledger) == [b"1 pending", b"2 pending", b"1 running"]


async def test_each_step_counts_also_where_those_of_one_task_are_written_as_one(shelf):
    submitted = new(1)
    started = start(submitted.state)
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        await commit(ledger, submitted, started, finish(started.state))
        assert await left(ledger) == [b"1 pending", b"1 running", b"1 completed"]


async def test_rows_are_read_in_slices_in_their_order(shelf):
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        for first in range(1, 8, 2):
            await commit(ledger, new(first), new(first + 1))
        seen: list[Row] = []
        while some := await rows(ledger, after=seen[-1].number if seen else 0, most=3):
            assert len(some) <= 3
            seen += some
        assert [row.content[:1] for row in seen] == [b"%d" % number for number in range(1, 9)]
        assert sorted({row.number for row in seen}) == [row.number for row in seen]


async def test_what_is_settled_is_gone_and_the_rest_stays_in_order(shelf):
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        await commit(ledger, *(new(number) for number in range(1, 6)))
        numbers = [row.number for row in await rows(ledger)]
        settled = RowsSettled(STAGES.name, (numbers[3], numbers[1]))
        await commit(ledger, settled)
        await commit(ledger, settled)  # once more, as after a restart
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        assert [row.content[:1] for row in await rows(ledger)] == [b"1", b"3", b"5"]


async def test_numbers_grow_also_when_all_was_settled_and_over_restarts(shelf):
    highest = 0
    for number in range(1, 4):
        async with shelf.open(outboxes=OUTBOXES) as ledger:
            await commit(ledger, new(number))
            (row,) = await rows(ledger, after=highest)
            highest = row.number
            assert [row] == await rows(ledger)
            await commit(ledger, RowsSettled(STAGES.name, (highest,)))


async def test_a_row_outlives_its_task(shelf):
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        await commit(ledger, new(1))
        await commit(ledger, lifecycle.cancelled(await ledger.state(task_id(1)), at(1)))
        await commit(ledger, Removal(await ledger.state(task_id(1))))
        assert (await left(ledger))[2:] == [b"gone", task_id(1).encode()]


async def test_outboxes_do_not_mix_though_one_name_begins_like_the_other(shelf):
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        await commit(ledger, SetPaused(True), new(1))
        (paused,) = await rows(ledger, PAUSES)
        (submitted,) = await rows(ledger)
        await commit(ledger, RowsSettled(PAUSES.name, (submitted.number, paused.number)))
        assert (await rows(ledger, PAUSES), await left(ledger)) == ([], [b"1 pending"])


async def test_one_that_the_ledger_is_opened_without_stays_as_it_is(shelf):
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        await commit(ledger, new(1))
    async with shelf.open() as ledger:
        await commit(ledger, new(2))
    async with shelf.open(outboxes=OUTBOXES) as ledger:
        assert await left(ledger) == [b"1 pending"]
