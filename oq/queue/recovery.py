"""Recovery: tasks that were running when a process ended go back in line, and all that wait are put
on the board.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime

import structlog
from msgspec.structs import replace

from oq.rules import lifecycle
from oq.rules.board import Board
from oq.rules.history import History
from oq.rules.place import Place
from oq.rules.stream_log import start_of
from oq.store import Ledger
from oq.words.clock import Clock
from oq.words.errors import NotFound, StoreError
from oq.words.messages import Committed, Delay
from oq.words.outcome import Interrupted
from oq.words.steps import Change, Step
from oq.words.task import Status, TaskState

log = structlog.get_logger("oq")

SHUT_DOWN = Interrupted("oq was shut down while this attempt ran")


async def recover(ledger: Ledger, clock: Clock, *, ended_by_oq: bool) -> Committed:
    """Put back in line what ran when the process ended, on disk, before anything starts. Return
    these steps, with what subscribers are to be told of them.
    """
    now = clock.now()
    died = [
        lifecycle.interrupted(state, SHUT_DOWN, now) if ended_by_oq else lifecycle.died(state, now)
        for state in await ledger.running()
    ]
    ran = len(died)
    unseen = [] if ended_by_oq else await _unseen(ledger)
    for state, started_at in unseen:
        died += lifecycle.died_unseen(state, started_at, now)
    committed = await _commit(ledger, died, clock)
    if died:
        poisoned = sum(change.state.status is Status.FAILED for change in died)
        ran += len(unseen)
        log.warning("recovered tasks that ran when oq stopped", tasks=ran, poisoned=poisoned)
    return committed


async def put_back(ledger: Ledger, clock: Clock, history: History) -> bool:
    """Put back in line what still runs when a queue is closed in haste, and keep what happened
    lately. To be called when its actors have ended; it is the ledger's last change. False if it
    cannot be written: then tasks that have ended, or were broken off, stand as running.
    """
    ledger.running_page.clear()
    broken_off: list[Change] = []
    try:
        running = await ledger.running()
        broken_off = [lifecycle.interrupted(state, SHUT_DOWN, clock.now()) for state in running]
        await _commit(ledger, [*broken_off, *history.steps(clock.now())], clock)
    except StoreError as error:
        log.error("tasks not put back", tasks=len(broken_off), reason=str(error))  # noqa: TRY400
        return False
    return True


async def load(board: Board, ledger: Ledger, clock: Clock, longest: float) -> list[Delay]:
    """Put the pending tasks on the board; those that wait for their time, for the timer. A retry
    of which no delay is known waits for the `longest` there is.

    Those whose time came while nobody looked are ready at once, before the first dispatch.
    """
    delays: list[Delay] = []
    ids: list[str] = []
    places: list[Place] = []
    now = clock.now()
    async with aclosing(ledger.waiting()) as waiting:
        async for tasks in waiting:
            for task in tasks:
                place = task.place
                if place.conversation and len(board.backends) == 1:  # it was not so before
                    place = replace(place, conversation=0)
                if place.run_at is not None and place.run_at > now:
                    delays.append(_delay(task.task_id, place.run_at, place, longest))
                else:
                    place = place.when_due()
                ids.append(task.task_id)
                places.append(place)
    board.load(zip(ids, places, strict=True))
    return delays


async def _commit(ledger: Ledger, steps: Sequence[Step], clock: Clock) -> Committed:
    seq = ledger.facts.event_seq
    events, owners = lifecycle.tell(steps, seq, clock.now())
    if steps:
        await ledger.commit(steps, seq + len(events))
    return Committed(list(steps), events, owners, [])


async def _unseen(ledger: Ledger) -> list[tuple[TaskState, datetime]]:
    """The tasks that a backend had got when the process ended, and whose start is not on disk; with
    the time of that start.
    """
    attempts = dict(ledger.running_page.left)
    found: list[tuple[TaskState, datetime]] = []
    for task_id, state in (await ledger.states(attempts)).items():
        if isinstance(state, NotFound) or state.status is not Status.PENDING:
            continue
        started_at = start_of(attempts[task_id])
        # Not by which is later: the clock may have been set back since the attempt before.
        if not state.attempts or state.attempts[-1].started_at != started_at:
            found.append((state, started_at))
    return found


def _delay(task_id: str, run_at: datetime, place: Place, longest: float) -> Delay:
    """The rest of a retry's delay is never more than the delay: the clock may be wrong now, or have
    been so when it was written. One of which no delay is known waits for the `longest` there is.
    """
    if not place.retrying:
        return Delay(task_id, run_at)
    return Delay(task_id, run_at, True, longest if place.delay is None else place.delay)
