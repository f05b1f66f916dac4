"""A trio run in a thread of its own, so that Hypothesis' rules may be plain functions.

Time stands still there unless a rule lets it pass, and nothing is over before all is quiet: so
every example goes the same way each time.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oq.queue import Queue, open_queue
from oq.store import KeyValueLedger
from oq.words.clock import Clock
from oq.words.config import Config
from oq.words.errors import OqError, Unavailable
from tests.queue.machine.backend import ScriptedBackend
from tests.queue.machine.disk import Disk, PowerCut

T = TypeVar("T")
EPOCH = 1_800_000_000.0


class Host:
    """Opens queues over a disk, one after the other. All its methods are called from outside."""

    def __init__(self, config: Config, disk: Disk) -> None:
        self.backend = ScriptedBackend()
        self.queue: Queue
        self.set_back = 0.0
        """Seconds by which the wall clock was set back."""
        self._config = config
        self._disk = disk
        self._clock = MockClock()
        self._ready = threading.Event()
        self._crash: Exception | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._main,), kwargs={
            "clock": self._clock,
        })  # fmt: skip
        self._thread.start()
        self._ready.wait()

    def open(self) -> None:
        """Open a queue over what is on the disk, and let it do what it does at once."""
        self._in_trio(self._open)

    def ask(self, verb: Callable[..., Awaitable[T]], *args: object, **named: object) -> T | OqError:
        """Call a verb of the queue: its answer, or its refusal."""
        answers = self._in_trio(self._ask, verb, args, named)
        assert answers, f"{verb.__name__} was never answered"
        return answers[0]

    def ask_and_cut(self, verb: Callable[..., Awaitable[T]], *args: object) -> None:
        """Call a verb during which the power goes: nothing must have been acknowledged. That the
        queue has closed may be told.
        """
        answers = self._in_trio(self._ask, verb, args, {})
        told = [answer for answer in answers if not isinstance(answer, Unavailable)]
        assert not told, f"{verb.__name__} was answered before it was on disk: {told}"
        self.await_end()

    def look(self, at: Callable[[], T]) -> T:
        """Look at something of the queue."""
        return trio.from_thread.run_sync(at, trio_token=self._token)

    def pass_time(self, seconds: float) -> None:
        self._in_trio(self._pass_time, seconds)

    def settle(self, change: Callable[[], None]) -> None:
        """Let something happen, and all that follows from it."""
        self._in_trio(self._settle, change)

    def leave(self) -> None:
        """Begin to shut the queue down."""
        self.settle(self._leaving.set)

    def kill(self) -> None:
        """End the queue without a word; it must be open."""
        self._disk.crash()
        self.settle(self._scope.cancel)
        self.await_end()

    def await_end(self) -> None:
        """Let all that is under way happen; after that the queue must have ended."""
        self.settle(lambda: None)
        assert self._gone, "the queue is still there"

    def close(self) -> None:
        """End the queue, and the trio run."""
        trio.from_thread.run_sync(self._stop.set, trio_token=self._token)
        self._thread.join()

    # -- in trio's thread

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._stop = trio.Event()
        async with trio.open_nursery() as self._nursery:
            self._ready.set()
            await self._stop.wait()
            self._nursery.cancel_scope.cancel()

    def _in_trio(self, call: Callable[..., Awaitable[T]], *args: object) -> T:
        try:
            return trio.from_thread.run(call, *args, trio_token=self._token)
        finally:
            if self._crash is not None:
                raise AssertionError(f"the queue crashed: {self._crash!r}") from self._crash

    async def _open(self) -> None:
        await self._nursery.start(self._run_queue)
        await wait_all_tasks_blocked()

    async def _run_queue(self, task_status: trio.TaskStatus[None]) -> None:
        wall = Clock(lambda: EPOCH + trio.current_time() - self.set_back)
        self._gone, self._leaving = False, trio.Event()
        try:
            with trio.CancelScope() as self._scope:
                async with open_queue(
                    self._config,
                    backends=[self.backend],
                    ledger=KeyValueLedger(self._disk.open()),
                    clock=wall,
                ) as self.queue:
                    task_status.started()
                    await self._leaving.wait()
        except PowerCut:
            pass
        except Exception as error:  # the rule that is at work raises it
            self._crash = error
        finally:
            self._gone = True

    async def _ask(
        self,
        verb: Callable[..., Awaitable[T]],
        args: tuple[object, ...],
        named: dict[str, object],
    ) -> list[T | OqError]:
        answers: list[T | OqError] = []

        async def ask() -> None:
            try:
                answers.append(await verb(*args, **named))
            except OqError as refusal:
                answers.append(refusal)

        async with trio.open_nursery() as asking:
            asking.start_soon(ask)
            await wait_all_tasks_blocked()
            asking.cancel_scope.cancel()
        return answers

    async def _pass_time(self, seconds: float) -> None:
        self._clock.jump(seconds)
        await wait_all_tasks_blocked()

    async def _settle(self, change: Callable[[], None]) -> None:
        change()
        await wait_all_tasks_blocked()
