"""One wish about many tasks: single commands, so many of them under way at once that they share
their syncs, and not so many that anybody else waits long behind them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from oq.words.bulk import BulkOutcome, BulkProblem
from oq.words.errors import Busy
from oq.words.messages import Command, Verb
from oq.words.task import ENDED, Status

Send = Callable[[Sequence[Command]], Awaitable[None]]

AT_ONCE = 256
"""Commands under way at once: about 10 ms of the scheduler's time, and as much of the writer's."""

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
    """Ask this of each of these tasks. `send` has commands carried out, and returns when all their
    receipts are answered.
    """
    refused: dict[str, Exception] = {}
    for start in range(0, len(ids), AT_ONCE):
        refused |= await _some(send, verb, ids[start : start + AT_ONCE], priority)
    problems = [BulkProblem(one, str(error)) for one, error in refused.items()]
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
    commands = [Command(verb, task_id, priority) for task_id in ids]
    await send(commands)
    return {
        command.task_id: command.receipt.error
        for command in commands
        if command.receipt.error is not None
    }
