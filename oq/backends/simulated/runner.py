"""A model in memory: who uses it, how many calls it answers at once, and how it dies."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from oq.backends.simulated.forms import KILLED
from oq.backends.simulated.load_group import LoadGroup
from oq.backends.simulated.slots import Closed, Slots, Ticket

_NOT_THERE = "llama-server process no longer running: unknown "
"""What Ollama says, with a space at its end, to calls that were waiting for a slot."""


class RunnerKilled(Exception):
    """The process that had the model is gone. Its text is what Ollama says of it."""


class Runner:
    """A loaded model. `key` is what is loaded, `name` how the call that loaded it called it."""

    def __init__(
        self, key: str, name: str, group: LoadGroup, slots: int | None, keep: float
    ) -> None:
        self.key = key
        self.name = name
        self.group = group
        self.keep = keep
        """Seconds that it stays when nobody uses it."""
        self.users = 0
        self.leaves_at = math.inf
        """When it leaves, while nobody uses it."""
        self.slots = Slots(slots)
        self.died = trio.Event()

    @asynccontextmanager
    async def slot_held(self, ticket: Ticket | None) -> AsyncIterator[Hold]:
        """Have a slot, or none without a `ticket`. RunnerKilled if the process dies before."""
        if ticket is None:
            yield Hold(self)
            return
        try:
            await self.slots.wait(ticket)
        except Closed:
            raise RunnerKilled(_NOT_THERE) from None
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.slots.give_back(hold.slot_free_at(trio.current_time()))

    def kill(self) -> None:
        """Let all that runs on it, or waits for it, end with RunnerKilled."""
        self.died.set()
        self.slots.close()


class Pace:
    """The time since an answer began."""

    def __init__(self) -> None:
        self.began = trio.current_time()

    async def wait(self, due: float, *, killed: bool = False) -> None:
        """Return `due` seconds after the beginning, as with nothing that could be `killed`."""
        if due:
            await trio.sleep_until(self.began + due)


class Hold(Pace):
    """What a call has while it runs; it began when it got its slot."""

    def __init__(self, runner: Runner) -> None:
        super().__init__()
        self.runner = runner
        self.load = 0.0
        """Seconds that it waited until its model was loaded."""
        self.waited = 0.0
        """Seconds that it waited for a slot after that."""
        self.prompt = self.batch = 0.0
        """Seconds that reading the prompt takes, and that each batch of it takes."""
        self.ends = -math.inf
        """The slot is not free before, whether or not the caller is still there."""

    def slot_free_at(self, now: float) -> float:
        """When a slot that is given back now is free: a batch is read to its end."""
        read = now - self.began
        if read < self.prompt:
            batch = self.batch or self.prompt
            now = self.began + min(self.prompt, math.ceil(read / batch) * batch)
        return max(now, self.ends)

    async def wait(self, due: float, *, killed: bool = False) -> None:
        """Return `due` seconds after the beginning. RunnerKilled if the process dies before, or
        then: that is `killed`.
        """
        if due:
            with trio.CancelScope(deadline=self.began + due):
                await self.runner.died.wait()
                raise RunnerKilled(KILLED)
        if killed:
            raise RunnerKilled(KILLED)
