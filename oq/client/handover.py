"""Sends an ended task to `results_to` and calls `on_done`, which were given at its submission."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import anyio

from oq.words.task import Task

OnDone = Callable[[Task], object]


class Sends(Protocol):
    """A channel for ended tasks: a memory channel of anyio or of trio."""

    async def send(self, item: Task, /) -> None: ...


async def hand_over(task: Task, on_done: OnDone | None, results_to: Sends | None) -> None:
    """Send the task, and then call `on_done` with it, which may be async."""
    if results_to is not None:
        with suppress(*_broken()):  # the receiver is closed
            await results_to.send(task)
    if on_done is not None:
        answer = on_done(task)
        if isinstance(answer, Awaitable):
            await answer


def _broken() -> tuple[type[Exception], ...]:
    """The errors of a channel whose other end is closed. trio is slow to import. If it is not
    imported yet, the channel is not one of trio's.
    """
    trio = sys.modules.get("trio")
    return (anyio.BrokenResourceError, *((trio.BrokenResourceError,) if trio else ()))
