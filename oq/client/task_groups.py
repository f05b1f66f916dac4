"""Task groups that raise the error of a task itself, not a group of errors.

So a user of a client can catch NotFound, and not a group that holds one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

E = TypeVar("E", bound=BaseException)


@asynccontextmanager
async def together() -> AsyncIterator[TaskGroup]:
    """A task group; the first error of its tasks, or of the block, ends the others."""
    try:
        async with anyio.create_task_group() as group:
            yield group
    except BaseExceptionGroup as found:
        raise leaf(found) from None


@asynccontextmanager
async def background() -> AsyncIterator[TaskGroup]:
    """A task group that is cancelled when the block is left."""
    problem: Exception | None = None
    async with together() as group:
        try:
            yield group
        except Exception as error:
            problem = error  # raised below, once the tasks have ended
        group.cancel_scope.cancel()
    if problem is not None:
        raise problem


def leaf(group: BaseExceptionGroup[E]) -> E:
    """One of the errors in a group of groups."""
    error = group.exceptions[0]
    return leaf(error) if isinstance(error, BaseExceptionGroup) else error
