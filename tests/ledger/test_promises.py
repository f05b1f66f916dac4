"""What every ledger promises, whatever keeps its tasks (see `oq.store.ledger`)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from oq.rules import lifecycle
from oq.rules.place import Place
from oq.rules.slices import OpenLog
from oq.rules.stream_log import PORTION
from oq.store import Ledger, Parts
from oq.words.errors import NotFound, Removed, StoreError
from oq.words.outcome import Failed, Refusal
from oq.words.steps import (
    MAX_KEPT,
    MAX_LEARNT,
    Ahead,
    Change,
    IdsForgotten,
    InParts,
    Kept,
    Learnt,
    Removal,
    ResultsRead,
    SetModelPaused,
    SetPaused,
    Step,
)
from oq.words.task import Status, TaskState
from tests.support.builders import DONE, at, finish, new, start, task_id

BUSY = Failed("busy", retryable=True)
REFUSED = Failed("no such model", retryable=False, refusal=Refusal(404, b'{"error": "no"}'))


async def commit(ledger: Ledger, *steps: Step) -> TaskState:
    """Keep the steps, in one commit; the last state among them."""
    await ledger.commit(steps, ledger.facts.event_seq + 1)
    return next(step.state for step in reversed(steps) if isinstance(step, Change))


async def ran(ledger: Ledger, number: int, **how: Any) -> TaskState:
    """A task that has been submitted, has run and has ended."""
    running = await commit(ledger, start(await commit(ledger, new(number))))
    return await commit(ledger, finish(running, **how))


async def waiting(ledger: Ledger) -> list[tuple[str, Place]]:
    return [(one.task_id, one.place) async for some in ledger.waiting() for one in some]


def counts(ledger: Ledger) -> dict[str, int]:
    return {status.value: count for status, count in ledger.facts.counts.items() if count}


# -- a task's life


async def test_a_new_ledger_knows_nothing(shelf):
    async with shelf.open() as ledger:
        assert (counts(ledger), ledger.facts.event_seq, ledger.facts.paused) == ({}, 0, False)
        assert await waiting(ledger) == await ledger.running() == []
        for reads in (ledger, ledger.durable):
            with pytest.raises(NotFound):
                await reads.state(task_id(1))


async def test_a_task_is_kept_with_all_that_was_asked(shelf):
    change = new(1, key="order 17", metadata=msgspec.Raw(b'{"a": 1}'))
    async with shelf.open() as ledger:
        await commit(ledger, change)
    async with shelf.open() as ledger:
        assert await ledger.state(task_id(1)) == change.state
        assert await ledger.body(task_id(1)) == change.body
        record = await ledger.durable.record(task_id(1))
        assert (record.state, record.body, record.result) == (change.state, change.body, None)
        assert await waiting(ledger) == [(task_id(1), Place(5, "smollm2"))]
        assert counts(ledger) == {"pending": 1}
        assert ledger.facts.last_id == task_id(1)


async def test_those_that_wait_are_told_in_the_order_of_submission(shelf):
    async with shelf.open() as ledger:
        await commit(ledger, new(3), new(1, priority=9), new(2, run_at=at(60)))
        running = await commit(ledger, start(await ledger.state(task_id(3))))
        await commit(ledger, finish(running, BUSY))
        assert await waiting(ledger) == [
            (task_id(1), Place(9, "smollm2")),
            (task_id(2), Place(5, "smollm2", at(60))),
            (task_id(3), Place(5, "smollm2", at(1), retrying=True, delay=1.0)),
        ]


async def test_those_that_wait_are_told_with_what_makes_their_model_load_again(shelf):
    async with shelf.open() as ledger:
        options = msgspec.Raw(b'{"num_ctx": 4096}')
        await commit(ledger, new(1, options=options), new(2, run_at=at(60), options=options))
    async with shelf.open() as ledger:
        assert await waiting(ledger) == [
            (task_id(1), Place(5, "smollm2", load="num_ctx=4096")),
            (task_id(2), Place(5, "smollm2", at(60), load="num_ctx=4096")),
        ]


async def test_what_runs_is_found_by_the_next_who_opens(shelf):
    async with shelf.open() as ledger:
        running = await commit(ledger, start(await commit(ledger, new(1))))
    async with shelf.open() as ledger:
        assert await ledger.running() == [running]
        assert await waiting(ledger) == []


async def test_a_result_is_kept_byte_for_byte(shelf):
    async with shelf.open() as ledger:
        ended = await ran(ledger, 1)
        record = await ledger.durable.record(task_id(1))
        assert (record.state, record.result, record.refusal) == (ended, DONE.result, None)
        only = await ledger.durable.record(task_id(1), Parts.ENDING)
        assert (only.body, only.result) == (None, DONE.result)


async def test_a_refusal_is_no_result(shelf):
    async with shelf.open() as ledger:
        await ran(ledger, 1, outcome=REFUSED)
        record = await ledger.durable.record(task_id(1))
        assert (record.result, record.refusal) == (None, REFUSED.refusal)


@pytest.mark.parametrize("outcome", [DONE, REFUSED])
async def test_a_task_that_is_queued_again_has_nothing_of_its_end(shelf, outcome):
    async with shelf.open() as ledger:
        await commit(ledger, new(1))
        running = await commit(ledger, start(await ledger.state(task_id(1))))
        log = OpenLog(7, call=None)
        log.add(b'{"response": "no"}')
        end = finish(running, Failed("no", retryable=False, refusal=REFUSED.refusal))
        ended = await commit(ledger, msgspec.structs.replace(end, stream=log.records()))
        await commit(ledger, lifecycle.requeued(ended))
        assert await ledger.oldest_ended(9) == []
        assert await ledger.stream(task_id(1), 0) is None
        record = await ledger.durable.record(task_id(1))
        assert (record.result, record.refusal, counts(ledger)) == (None, None, {"pending": 1})
        running = await commit(ledger, start(record.state))
        await commit(ledger, finish(running, outcome))
        assert len(await ledger.oldest_ended(9)) == 1


async def test_a_removed_task_is_gone_with_its_key(shelf):
    async with shelf.open() as ledger:
        await commit(ledger, new(1, key="order 17"))
        ended = await commit(ledger, lifecycle.cancelled(await ledger.state(task_id(1)), at(1)))
        assert (await ledger.claim("order 17")).task_id == task_id(1)
        await ledger.commit([Removal(ended)], 9)
        assert await ledger.claim("order 17") is None
        with pytest.raises(NotFound):
            await ledger.state(task_id(1))
        assert (await ledger.states([task_id(1)])).keys() == {task_id(1)}
        assert await ledger.oldest_ended(9) == []
        assert counts(ledger) == {}
    async with shelf.open() as ledger:
        assert ledger.facts.last_id == task_id(1), "no later task may have an id that was used"


async def test_that_retention_removed_a_task_is_known_until_it_is_forgotten(shelf):
    async with shelf.open() as ledger:
        ended = await ran(ledger, 1)
        await ledger.commit([Removal(ended, retired=at(60))], 9)
        with pytest.raises(Removed, match="12:01:00"):
            await ledger.durable.state(task_id(1))
        gone = await ledger.oldest_gone(9)
        assert [(one.task_id, one.at) for one in gone] == [(task_id(1), at(60))]
        assert ledger.facts.gone == 1
        await ledger.commit([IdsForgotten((task_id(1), task_id(2)))], 9)
        assert (await ledger.oldest_gone(9), ledger.facts.gone) == ([], 0)


async def test_the_ended_are_told_by_when_they_ended_and_from_any_place(shelf):
    async with shelf.open() as ledger:
        for number, when in ((1, 30), (2, 10), (3, 20)):
            await ran(ledger, number, now=at(when))
        ended = await ledger.oldest_ended(9)
        assert [one.task_id for one in ended] == [task_id(2), task_id(3), task_id(1)]
        behind = await ledger.oldest_ended(1, ended[0].place + b"\0")
        assert [one.task_id for one in behind] == [task_id(3)]


async def test_an_awaited_result_is_unread_until_it_was_read(shelf):
    async with shelf.open() as ledger:
        change = new(1)
        change = msgspec.structs.replace(
            change, state=msgspec.structs.replace(change.state, awaited=True)
        )
        running = await commit(ledger, start(await commit(ledger, change)))
        await commit(ledger, finish(running))
        assert (ledger.facts.unread, (await ledger.oldest_ended(1))[0].unread) == (1, True)
        await ledger.commit([ResultsRead(frozenset({task_id(1), task_id(2)}))], 9)
        await ledger.commit([ResultsRead(frozenset({task_id(1)}))], 9)
        assert (ledger.facts.unread, (await ledger.oldest_ended(1))[0].unread) == (0, False)


async def test_what_two_have_noted_in_one_commit_counts_once(shelf):
    async with shelf.open() as ledger:
        for number in (1, 2):
            change = new(number)
            state = msgspec.structs.replace(change.state, awaited=True)
            change = msgspec.structs.replace(change, state=state)
            ended = await commit(ledger, finish(await commit(ledger, start(
                await commit(ledger, change)))))  # fmt: skip
        assert ledger.facts.unread == 2
        read = ResultsRead(frozenset({task_id(1)}))
        await ledger.commit([read, read, ResultsRead(frozenset({task_id(1), task_id(9)}))], 9)
        assert ledger.facts.unread == 1
        await ledger.commit([Removal(ended, retired=at(60))], 9)
        assert (ledger.facts.unread, ledger.facts.gone) == (0, 1)
        forgotten = IdsForgotten((task_id(2),))
        await ledger.commit([forgotten, forgotten], 9)
        assert ledger.facts.gone == 0


# -- long answers


def long_log(slices: int) -> OpenLog:
    log = OpenLog(7, call="/api/generate")
    for number in range(slices):
        log.add(b"%d" % number + b"x" * PORTION)
    return log


async def test_any_part_of_a_long_stream_is_found_by_its_offset(shelf):
    async with shelf.open() as ledger:
        running = await commit(ledger, start(await commit(ledger, new(1))))
        end = finish(running)
        await commit(ledger, msgspec.structs.replace(end, stream=long_log(5).records()))
    async with shelf.open() as ledger:
        for offset in range(5):
            state, log = await ledger.durable.stream(task_id(1), offset)
            assert (state.status, log.first, len(log)) == (Status.COMPLETED, offset, 1)
            assert log.frames[0].startswith(b"%d" % offset)
        _, last = await ledger.durable.stream(task_id(1), 99)
        assert (last.first, last.more) == (4, False)


async def test_what_was_written_ahead_of_the_end_is_whole_with_it(shelf):
    async with shelf.open() as ledger:
        running = await commit(ledger, start(await commit(ledger, new(1))))
        log = long_log(4)
        ahead = log.ahead(2 * PORTION + 1000)
        await ledger.commit([Ahead(task_id(1), ahead)], 9)
        log.note_kept(ahead)
        assert (await ledger.stream(task_id(1), 0)).frames[0].startswith(b"0")
        state, nothing = await ledger.durable.stream(task_id(1), 0)
        assert (state.status, nothing) == (Status.RUNNING, None), "of what runs nobody is told"
        for part in (b'{"response": "', b'long"}'):
            await ledger.commit([Ahead(task_id(1), log.part(part))], 9)
        end = msgspec.structs.replace(finish(running), stream=log.records(), result=InParts())
        await commit(ledger, end)
        record = await ledger.durable.record(task_id(1))
        assert (record.result, record.problems) == (b'{"response": "long"}', ())
        found = [(await ledger.durable.stream(task_id(1), n))[1].first for n in range(4)]
        assert found == [0, 1, 2, 3]


async def test_what_was_written_ahead_goes_with_an_attempt_that_came_to_nothing(shelf):
    async with shelf.open() as ledger:
        running = await commit(ledger, start(await commit(ledger, new(1))))
        await ledger.commit([Ahead(task_id(1), long_log(3).ahead(PORTION))], 9)
        await commit(ledger, finish(running, BUSY))
        assert await ledger.stream(task_id(1), 0) is None


# -- one commit


async def test_several_steps_of_one_task_are_what_they_come_to(shelf):
    async with shelf.open() as ledger:
        submitted = new(1, key="k")
        started = start(submitted.state)
        await commit(ledger, submitted, started, finish(started.state))
        record = await ledger.durable.record(task_id(1))
        assert (record.body, record.result) == (submitted.body, DONE.result)
        assert (await ledger.claim("k")).fingerprint == b"mark of k"
        assert counts(ledger) == {"completed": 1}


async def test_steps_of_many_tasks_do_not_mix(shelf):
    async with shelf.open() as ledger:
        await commit(ledger, new(1), new(2), new(3))
        second = start(await ledger.state(task_id(2)))
        third = lifecycle.cancelled(await ledger.state(task_id(3)), at(1))
        await commit(ledger, second, third, finish(second.state))
        found = await ledger.states([task_id(3), task_id(1), task_id(2), task_id(9)])
        assert [getattr(one, "status", None) for one in found.values()] == [
            Status.CANCELLED, Status.PENDING, Status.COMPLETED, None,
        ]  # fmt: skip
        assert isinstance(found[task_id(9)], NotFound)


async def test_a_step_that_cannot_have_happened_is_refused_whole(shelf):
    async with shelf.open() as ledger:
        never_run = start(new(1).state)
        with pytest.raises(AssertionError):
            await ledger.commit([SetPaused(True), never_run, finish(never_run.state)], 9)
        assert (counts(ledger), ledger.facts.paused) == ({}, False)
        with pytest.raises(NotFound):
            await ledger.state(task_id(1))


async def test_a_pause_and_the_number_of_the_last_event_outlive_it(shelf):
    async with shelf.open() as ledger:
        await ledger.commit([SetPaused(True), new(1), SetPaused(False), SetPaused(True)], 17)
    async with shelf.open() as ledger:
        assert (ledger.facts.paused, ledger.facts.event_seq) == (True, 17)
        assert ledger.durable.facts == ledger.facts


async def test_what_was_learnt_of_backends_outlives_it(shelf):
    async with shelf.open() as ledger:
        assert await ledger.learnt() == {}
        await ledger.commit([Learnt("a", b"1"), Learnt("\u00e9/b c", b"")], 0)
        await ledger.commit([new(1), Learnt("a", b"2"), Learnt("b", b"\0\xff" * 100)], 1)
    async with shelf.open() as ledger:
        assert await ledger.learnt() == {"a": b"2", "b": b"\0\xff" * 100, "\u00e9/b c": b""}
        await ledger.commit([Learnt("b", None), Learnt("never known", None)], 1)
        await ledger.commit([Learnt("a", b"3"), Learnt("a", None), Learnt("\u00e9/b c", b"4")], 1)
    async with shelf.open() as ledger:
        assert await ledger.learnt() == {"\u00e9/b c": b"4"}
        assert (counts(ledger), await ledger.oldest_gone(9)) == ({"pending": 1}, [])


async def test_what_was_learnt_has_a_bound(shelf):
    async with shelf.open() as ledger:
        await ledger.commit([Learnt("a", bytes(MAX_LEARNT))], 0)
        with pytest.raises(AssertionError, match="a: 65537 bytes"):
            await ledger.commit([new(1), Learnt("a", bytes(MAX_LEARNT + 1))], 1)
        assert (await ledger.learnt(), counts(ledger)) == ({"a": bytes(MAX_LEARNT)}, {})


async def test_what_happened_lately_outlives_it(shelf):
    async with shelf.open() as ledger:
        assert await ledger.kept() == {}
        await ledger.commit(
            [new(1), Kept("15m 1", b"1"), Kept("ran", b"\0\xff"), Learnt("a", b"")], 1
        )
        await ledger.commit([Kept("15m 1", bytes(MAX_KEPT))], 1)
        with pytest.raises(AssertionError, match="ran: 524289 bytes"):
            await ledger.commit([Kept("ran", bytes(MAX_KEPT + 1))], 1)
    async with shelf.open() as ledger:
        assert await ledger.kept() == {"15m 1": bytes(MAX_KEPT), "ran": b"\0\xff"}
        assert (await ledger.learnt(), counts(ledger)) == ({"a": b""}, {"pending": 1})


async def test_paused_models_outlive_it(shelf):
    async with shelf.open() as ledger:
        steps = [SetModelPaused("a", True), SetModelPaused("b", True), SetModelPaused("a", True)]
        await ledger.commit(steps, 0)
        await ledger.commit([SetModelPaused("b", False), SetModelPaused("c", False)], 0)
    async with shelf.open() as ledger:
        assert ledger.facts.paused_models == ledger.durable.facts.paused_models == ("a",)


async def test_what_users_are_told_is_safe(shelf):
    """Whoever asks while a commit is under way is told of it only when it is safe."""
    async with shelf.open() as ledger:
        waits = await commit(ledger, new(1), new(2))
        safe = False
        told: list[tuple[Status, bool]] = []

        async def keep() -> None:
            nonlocal safe
            await commit(ledger, lifecycle.cancelled(waits, at(1)))
            safe = True

        async def ask() -> None:
            state = await ledger.durable.state(waits.id)
            told.append((state.status, safe or ledger.durable.facts.count([Status.CANCELLED]) == 1))

        for _ in range(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep)
                for _ in range(5):
                    nursery.start_soon(ask)
            assert all(known for status, known in told if status is Status.CANCELLED)
            waits = await commit(ledger, lifecycle.requeued(await ledger.state(waits.id)))
            safe = False
            told.clear()


async def test_tasks_of_a_simulation_and_real_ones_do_not_meet(shelf):
    async with shelf.open(simulated=True) as ledger:
        await commit(ledger, new(1))
    with pytest.raises(StoreError, match="made up"):
        async with shelf.open(simulated=False):
            pass
    async with shelf.open(simulated=True) as ledger:
        assert counts(ledger) == {"pending": 1}


async def test_a_commit_whose_caller_left_is_safe_before_the_next_is_written(shelf):
    async with shelf.open() as ledger:
        with trio.CancelScope() as leaving:
            leaving.cancel()
            await commit(ledger, new(1))
        await commit(ledger, new(2))
        assert counts(ledger) == {"pending": 2}
        assert ledger.durable.facts.counts[Status.PENDING] == 2


async def test_who_waits_for_a_commit_that_removes_its_task_is_told_so(shelf):
    async with shelf.open() as ledger:
        await commit(ledger, new(1))
        ended = await commit(ledger, lifecycle.cancelled(await ledger.state(task_id(1)), at(1)))
        told: list[BaseException] = []

        async def ask() -> None:
            try:
                await ledger.durable.record(task_id(1))
            except NotFound as error:
                told.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.commit, [Removal(ended)], ledger.facts.event_seq)
            while counts(ledger):
                await trio.lowlevel.checkpoint()
            await ask()
        assert [str(error) for error in told] == [f"there is no task '{task_id(1)}'"]
