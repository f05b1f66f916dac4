"""The janitor: it removes the ended tasks that retention no longer keeps, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf

import structlog
import trio

from oq.actors.reads import Reads
from oq.rules.retention import PatientClock, Retention, Sweep
from oq.store import Ledger
from oq.words.clock import Clock
from oq.words.errors import OqError
from oq.words.messages import BulkCommand, Commit, Verb
from oq.words.receipts import Receipt
from oq.words.steps import IdsForgotten, ResultsRead

log = structlog.get_logger("oq.janitor")

AT_ONCE = 256
"""Tasks removed in one go: few enough that nobody waits long behind them, and many, as they share a
sync: under load one takes long, and tasks must not end faster than they are removed.
"""
LOOK_AT_ONCE = 1000
"""Entries of the index that are read in one go."""
FROM_THE_BEGINNING = 86_400.0
"""Seconds after which all of the index is read again: what ended while the clock was set back lies
before what was removed already."""


class Janitor:
    """Wakes every `interval` seconds.

    It asks the scheduler for each removal as a user would, so it cannot take away a task that its
    user is just about to queue again.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        keep: Retention,
        interval: float,
        reads: Reads,
        to_scheduler: trio.MemorySendChannel[BulkCommand],
        to_writer: trio.MemorySendChannel[Commit],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._patient = PatientClock()
        self._keep = keep
        self._interval = interval
        self._reads = reads
        self._to_scheduler = to_scheduler
        self._to_writer = to_writer
        self._start = b""  # what lies before was removed: mostly not read, it is only tombstones
        self._again_at = inf

    async def run(self) -> None:
        """Clean up until cancelled."""
        with self._to_scheduler, self._to_writer:
            while True:
                removed = await self.clean()
                if removed:
                    log.info("removed ended tasks", removed=removed, kept=self._ledger.facts.ended)
                await trio.sleep(self._interval)

    async def clean(self) -> int:
        """Remove what is too much, or too old, now; how many that were."""
        read = self._reads.take()
        if read and not await self._commit(ResultsRead(read)):
            self._reads.put_back(read)
        steady = trio.current_time()
        now = self._patient.look(self._clock.now(), steady)
        if not self._start or steady >= self._again_at:
            self._start, self._again_at = b"", steady + FROM_THE_BEGINNING
        removed, too_many = await self._sweep(now, thorough=False)
        if too_many:
            self._start = b""  # the clock was set back: what ended since may lie before
            removed += (await self._sweep(now, thorough=True))[0]
        await self._forget_surplus()  # the settings may allow less than when these were removed
        await self._forget(now)
        return removed

    async def _sweep(self, now: datetime | None, *, thorough: bool) -> tuple[int, bool]:
        """Look once through the ended tasks, as far as need be; how many were removed, and whether
        there are still too many.
        """
        facts = self._ledger.facts
        sweep = Sweep(self._keep, facts.ended, facts.unread, now, thorough=thorough)
        place, start, removed, kept_some = self._start, self._start, 0, False
        while ended := await self._ledger.oldest_ended(LOOK_AT_ONCE, place):
            going: list[str] = []
            for task in ended:
                if sweep.is_over(task):
                    break
                place = task.place + b"\0"
                if sweep.takes(task):
                    going.append(task.task_id)
                else:
                    kept_some = True
                if not kept_some:
                    start = place
            done = await self._remove(going)
            removed += done
            if done < len(going):  # those that were refused are looked at again the next time
                start, kept_some = self._start, True
            self._start = start
            if sweep.is_over(ended[-1]):
                break
            await trio.lowlevel.checkpoint()
        return removed, sweep.too_many

    async def _remove(self, task_ids: Sequence[str]) -> int:
        removed = 0
        for start in range(0, len(task_ids), AT_ONCE):
            going = task_ids[start : start + AT_ONCE]
            command = BulkCommand(Verb.DELETE, going, retired=self._keep.removed > 0)
            await self._to_scheduler.send(command)
            await command.receipt.wait()
            for task_id, error in command.refused.items():
                log.debug("kept an ended task", task_id=task_id, reason=str(error))
            removed += len(going) - len(command.refused)
            await self._forget_surplus()
        return removed

    async def _forget(self, now: datetime | None) -> None:
        """Forget the ids of removed tasks for which the time is over."""
        if now is None or not self._keep.removed_seconds:
            return
        limit = now - timedelta(seconds=self._keep.removed_seconds)
        while True:
            oldest = await self._ledger.oldest_gone(AT_ONCE)
            old = [gone.task_id for gone in oldest if gone.at < limit]
            if not old or not await self._commit(IdsForgotten(tuple(old))):
                return

    async def _forget_surplus(self) -> None:
        """Forget the oldest ids of removed tasks, where they are too many: some at a time, as there
        may be very many when the settings allow less than before.
        """
        while (count := self._ledger.facts.gone - self._keep.removed) > 0:
            oldest = await self._ledger.oldest_gone(min(count, AT_ONCE))
            going = tuple(gone.task_id for gone in oldest)
            if not going or not await self._commit(IdsForgotten(going)):
                return

    async def _commit(self, step: IdsForgotten | ResultsRead) -> bool:
        receipt = Receipt()
        await self._to_writer.send(Commit([step], receipt))
        try:
            await receipt.wait()
        except OqError as error:
            log.debug("could not note what was read or removed", reason=str(error))
            return False
        return True
