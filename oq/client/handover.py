"""Giving an ended task to whoever asked for it when it was submitted."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import anyio

from oq.words.task import Task

OnDone = Callable[[Task], object]


class Sends(Protocol):
    """Where ended tasks are sent to: a memory channel of anyio or of trio."""

    async def send(self, item: Task, /) -> None: ...


async def hand_over(task: Task, on_done: OnDone | None, results_to: Sends | None) -> None:
    """Send it, then call with it; what is returned is awaited if it is async."""
    if results_to is not None:
        with suppress(*_broken()):  # nobody listens any more
            await results_to.send(task)
    if on_done is not None:
        answer = on_done(task)
        if isinstance(answer, Awaitable):
            await answer


def _broken() -> tuple[type[Exception], ...]:
    """What a channel raises whose other end is closed. trio is slow to import, and seldom needed:
    a channel of trio's has imported it.
    """
    trio = sys.modules.get("trio")
    return (anyio.BrokenResourceError, *((trio.BrokenResourceError,) if trio else ()))
