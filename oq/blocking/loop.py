"""The thread that a queue runs on, and how calls of other threads get there and back.

A call is a trio task of its own, in a cancel scope of its own: whoever leaves it early, by Ctrl-C
for one, takes it back. It says what it has to say through a `Future`, the one thing that both
worlds may touch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, TypeVar

import trio

from oq.words.errors import Unavailable, lone

T = TypeVar("T")
R = TypeVar("R")

HEED = 1.0
"""Seconds after which a thread that waits looks whether a signal has come. One that comes in the
moment before the thread falls asleep, or that another thread gets, does not wake it."""

CLOSED = "this queue is closed; what it was given is kept, and runs when it is opened again"


class Loop(Generic[R]):
    """A thread that holds `resource` open until `stop`, and runs what others ask of it.

    The constructor returns when it is open, and raises what opening it raises.
    """

    def __init__(self, resource: Callable[[], AbstractAsyncContextManager[R]]) -> None:
        self._resource = resource
        self._process = os.getpid()
        self._opened: Future[R] = Future()
        self._unwanted = False
        self._calls: trio.Nursery | None = None  # written and read by the thread only
        self._everything = trio.CancelScope()
        self._stop = trio.Event()
        self._failure: BaseException | None = None
        # A daemon: the interpreter does not wait for it at its exit, it is closed there instead.
        self._thread = threading.Thread(target=self._run, name="oq", daemon=True)
        self._thread.start()
        try:
            self.resource = _result(self._opened)
        except BaseException:
            self._abandon()
            raise

    @property
    def here(self) -> bool:
        """Whether there is such a thread: not after it has ended, and not in a forked process."""
        return self._thread.is_alive() and os.getpid() == self._process

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """What the async function gives or raises, run on the thread. Unavailable once it stops."""
        if os.getpid() != self._process:
            raise Unavailable(
                "this queue was opened before the process forked, and runs in its parent; open one"
                " after the fork, and none before it, or use oq.Client to share one between"
                " processes"
            )
        call = _Call(function, args)
        try:  # one, without a gap in which a Ctrl-C would leave the call behind
            self._token.run_sync_soon(self._begin, call)
            return _result(call.done)
        except trio.RunFinishedError:
            raise self._gone() from None
        except BaseException:
            if not call.done.done():  # it is the caller who leaves
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(call.scope.cancel)
            raise

    def call_sync(self, function: Callable[..., T], *args: Any) -> T:
        """The same for a function that does not wait."""

        async def run() -> T:
            return function(*args)

        return self.call(run)

    def stop(self) -> None:
        """Close the resource and wait for the thread to end; raises what went wrong in there."""
        if self.here:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._stop.set)
            self.wait_stopped()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def wait_stopped(self) -> None:
        """Return when the thread has ended."""
        while self._thread.is_alive():
            self._thread.join(HEED)

    def _abandon(self) -> None:
        """Whoever opens it has left: close it as soon as it is open, or sooner."""
        self._unwanted = True
        with suppress(AttributeError, trio.RunFinishedError):  # it may not have come to its token
            self._token.run_sync_soon(self._everything.cancel)

    # -- on the thread

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as error:  # it is raised where somebody waits for it
            self._failure = lone(error)
        if not self._opened.done():
            self._opened.set_exception(self._failure or Unavailable(CLOSED))

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        if self._unwanted:
            return
        with self._everything:
            async with trio.open_nursery() as calls:
                try:
                    await self._hold(calls)
                except Exception as error:
                    self._failure = lone(error)  # for those whose calls it ends
                    raise
                finally:
                    self._calls = None
                    calls.cancel_scope.cancel()

    async def _hold(self, calls: trio.Nursery) -> None:
        async with self._resource() as resource:
            self._calls = calls
            self._opened.set_result(resource)
            await self._stop.wait()
            self._calls = None  # from here on nobody gets in any more

    def _begin(self, call: _Call[Any]) -> None:
        if self._calls is None:
            call.done.set_exception(self._gone())
        else:
            self._calls.start_soon(self._carry_out, call)

    async def _carry_out(self, call: _Call[Any]) -> None:
        with call.scope:
            try:
                value = await call.function(*call.args)
            except Exception as error:
                call.done.set_exception(error)
            except BaseException:  # cancelled, by its caller or because everything ends
                call.done.set_exception(self._gone())
                raise
            else:
                call.done.set_result(value)

    def _gone(self) -> Unavailable:
        if self._failure is None:
            return Unavailable(CLOSED)
        return Unavailable(f"this queue has stopped: {self._failure}")


def _result(promised: Future[T]) -> T:
    """What it gives or raises, once it does; and KeyboardInterrupt, whatever gets the signal."""
    while not promised.done():
        with suppress(TimeoutError):  # ours, or else it is raised below
            return promised.result(HEED)
    return promised.result()


class _Call(Generic[T]):
    """Something that another thread wants to be done."""

    def __init__(self, function: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args
        self.done: Future[T] = Future()
        self.scope = trio.CancelScope()
