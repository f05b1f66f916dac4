"""The janitor: it removes the ended tasks that retention no longer keeps, the oldest first."""

from __future__ import annotations

import structlog
import trio

from oq.rules.retention import surplus
from oq.store import Store
from oq.words.errors import OqError
from oq.words.messages import Command, Verb

log = structlog.get_logger("oq.janitor")

AT_ONCE = 100
"""Tasks removed in one go: few enough that nobody waits long behind them."""


class Janitor:
    """Wakes every `interval` seconds, and keeps the latest `keep` ended tasks (0: all of them).

    It asks the scheduler for each removal as a user would, so it cannot take away a task that its
    user is just about to queue again.
    """

    def __init__(
        self,
        store: Store,
        keep: int,
        interval: float,
        to_scheduler: trio.MemorySendChannel[Command],
    ) -> None:
        self._store = store
        self._keep = keep
        self._interval = interval
        self._to_scheduler = to_scheduler
        self._after = b""  # what lies before was removed: not read again, it is only tombstones

    async def run(self) -> None:
        """Clean up until cancelled."""
        with self._to_scheduler:
            while True:
                removed = await self.clean()
                if removed:
                    log.info("removed ended tasks", removed=removed, kept=self._keep)
                await trio.sleep(self._interval)

    async def clean(self) -> int:
        """Remove what is too much now; how many that were."""
        removed = 0
        while count := min(AT_ONCE, surplus(self._store.count_ended(), self._keep)):
            oldest = list(self._store.oldest_ended(count, self._after))
            if oldest:
                self._after = oldest[-1][0]
                removed += await self._remove([state.id for _, state in oldest])
            elif self._after:
                self._after = b""  # the clock was set back: what ended since lies before
            else:
                break
        return removed

    async def _remove(self, task_ids: list[str]) -> int:
        commands = [Command(Verb.DELETE, task_id) for task_id in task_ids]
        for command in commands:
            await self._to_scheduler.send(command)
        removed = 0
        for command in commands:
            try:
                await command.receipt.wait()
                removed += 1
            except OqError as error:
                log.debug("kept an ended task", task_id=command.task_id, reason=str(error))
        return removed
