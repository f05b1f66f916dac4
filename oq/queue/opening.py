"""Opening a queue: the nursery, the actors, the store, and how all of them end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from oq.backends import open_backends
from oq.backends.base import Backend
from oq.queue.core import SHUTDOWN_GRACE
from oq.queue.options import to_config_with
from oq.queue.queue import Queue
from oq.queue.wiring import wire
from oq.store import Store, open_store
from oq.words.clock import Clock
from oq.words.config import Config


@asynccontextmanager
async def open_queue(
    config: Config | None = None,
    *,
    backends: Sequence[Backend] | None = None,
    store: Store | None = None,
    clock: Clock | None = None,
    **options: Any,
) -> AsyncIterator[Queue]:
    """A running queue, for as long as the block lasts.

    `options` are settings by keyword, over those of `config`: see `oq.queue.options`. `backends`,
    `store` and `clock` stand in for those that the settings describe.

    Leaving the block lets the running tasks end for `drain_timeout`, puts back in line those that
    have not, and closes the store. When the block is cancelled or an actor crashes, nothing is
    waited for, but the store is closed properly all the same.

    Raises InvalidConfig; StoreLocked, StoreCorrupt or StoreError when the store cannot be opened.
    """
    config = to_config_with(config or Config(), options)
    clock = clock or Clock()
    store = store or open_store(config.queue.storage_path)
    failure: BaseException | None = None
    try:
        ends = open_backends(config, clock) if backends is None else list(backends)
        try:
            async with trio.open_nursery() as actors:
                wiring = wire(config, store, {end.name: end for end in ends}, clock)
                wiring.start(actors)
                queue = Queue(config, store, clock, wiring, ends, hands=actors)
                try:
                    yield queue
                    await queue.drain()
                finally:
                    actors.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failure = _lone(group)
        with trio.move_on_after(SHUTDOWN_GRACE, shield=True):
            for end in ends:
                await end.aclose()
    finally:
        store.close()
    if failure is not None:
        raise failure


def _lone(error: BaseException) -> BaseException:
    """The one error in a nursery's group: that a nursery is at work is not its users' concern."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
