"""One wish about many tasks: some of them at a time, which share one commit, and not so many that
anybody else waits long behind them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from oq.words.bulk import BulkOutcome, BulkProblem
from oq.words.errors import Busy
from oq.words.messages import BulkCommand, Verb
from oq.words.task import ENDED, Status

Send = Callable[[BulkCommand], Awaitable[None]]

AT_ONCE = 1024
"""Tasks in one command: about 10 ms of the scheduler's time, and as much of the writer's."""

LANES = 2
"""Commands under way at once: one is decided while the other is on its way to the disk."""

PAUSES = (0.01, 0.05, 0.2, 1.0)
"""Seconds before those that found the writer's mailbox full are tried again."""

MAX_PROBLEMS = 100

CONCERNS: dict[Verb, frozenset[Status]] = {
    Verb.CANCEL: frozenset({Status.PENDING, Status.RUNNING}),
    Verb.PRIORITY: frozenset({Status.PENDING}),
    Verb.RETRY: frozenset({Status.FAILED, Status.CANCELLED}),
    Verb.DELETE: frozenset(ENDED),
}
"""The states in which a task can be asked for this at all."""


async def carry_out(
    send: Send, verb: Verb, ids: Sequence[str], priority: int = 0, *, more: bool = False
) -> BulkOutcome:
    """Ask this of each of these tasks. `send` has a command carried out, and returns when it is
    answered.
    """
    refused: dict[str, Exception] = {}
    parts = iter([ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)])

    async def fast_path() -> None:
        for part in parts:
            refused.update(await _some(send, verb, part, priority))

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(LANES):
                nursery.start_soon(fast_path)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # both say the same: that the queue has closed
    problems = [BulkProblem(one, str(refused[one])) for one in ids if one in refused]
    return BulkOutcome(
        matched=len(ids),
        done=len(ids) - len(refused),
        skipped=len(refused),
        problems=problems[:MAX_PROBLEMS],
        more=more,
    )


async def _some(send: Send, verb: Verb, ids: Sequence[str], priority: int) -> dict[str, Exception]:
    """Those that were refused, and why. Those for which there was no room get another chance."""
    refused = await _together(send, verb, ids, priority)
    for pause in PAUSES:
        busy = [one for one, error in refused.items() if isinstance(error, Busy)]
        if not busy:
            break
        await trio.sleep(pause)
        for one in busy:
            del refused[one]
        refused |= await _together(send, verb, busy, priority)
    return refused


async def _together(
    send: Send, verb: Verb, ids: Sequence[str], priority: int
) -> dict[str, Exception]:
    command = BulkCommand(verb, ids, priority)
    await send(command)
    return command.refused
