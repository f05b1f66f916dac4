"""What all HTTP handlers share: the metrics, and the streams that are open. The queue is not among
it: each request has its own, which knows the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakValueDictionary

import trio

from oq.http.cloud import BackendCloud
from oq.http.errors import FeedsFull
from oq.http.inflight import Inflight
from oq.http.metrics import Metrics
from oq.http.site import Site
from oq.queue import RawQueue, Subscription
from oq.words.errors import Unavailable
from oq.words.events import EventType
from oq.words.task import RawTask, Status

CLOSING = "the server is shutting down; try again when it is back"


class SharedBytes:
    """Encoded bytes that all who read the same thing at the same time share."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data


SharedLines = WeakValueDictionary[tuple[str, bool, int, int], SharedBytes]
"""Keys: task id, whether it is an event, attempt, offset."""
SharedTasks = WeakValueDictionary[tuple[str, datetime | None, Status], SharedBytes]
"""Keys: task id, end time, status."""


class _UntilClose:
    """Keeps `end` among those that are called, for a block."""

    __slots__ = ("_all", "_end")

    def __init__(self, all_: set[Callable[[], None]], end: Callable[[], None]) -> None:
        self._all = all_
        self._end = end

    def __enter__(self) -> None:
        self._all.add(self._end)

    def __exit__(self, *_: object) -> None:
        self._all.discard(self._end)


@dataclass
class Context:
    """The state of the HTTP server, which its handlers share. One event loop owns it."""

    metrics: Metrics
    """What the backends ran lately."""
    document: bytes
    """What `/openapi.json` answers."""
    inflight: Inflight
    """How many bytes of request bodies are in memory."""
    cloud: BackendCloud
    """What an Ollama behind oq says of its cloud."""
    site: Site = field(default_factory=Site)
    """The dashboard, if it has been built."""
    long_lines: SharedLines = field(default_factory=WeakValueDictionary)
    """Of the streams that are read, those that are longer than a piece of an answer."""
    long_tasks: SharedTasks = field(default_factory=WeakValueDictionary)
    """Of the tasks that are read, those whose result is long, as they are sent."""
    _closing: bool = False
    _at_close: set[Callable[[], None]] = field(default_factory=set)
    _feeds: set[Subscription] = field(default_factory=set)

    async def wait_for(self, queue: RawQueue, task_id: str, wait: float) -> RawTask:
        """The task, after at most `wait` seconds; sooner when it ends or the server closes."""
        if wait and not self._closing:
            with trio.CancelScope() as scope, self.until_close(scope.cancel):
                return await queue.get(task_id, wait=wait)
        return await queue.get(task_id)

    def check_open(self) -> None:
        """Unavailable if the server closes."""
        if self._closing:
            raise Unavailable(CLOSING)

    def check_feeds(self, limit: int) -> None:
        """Unavailable if no more can subscribe: to be asked while it can still be answered."""
        self.check_open()
        if len(self._feeds) >= limit:
            raise FeedsFull(
                f"there are {limit} subscribers already (events.max_subscribers); try again later"
            )

    @contextmanager
    def subscribe(
        self,
        queue: RawQueue,
        types: frozenset[EventType] | None,
        task_id: str | None,
        after: int | None,
    ) -> Iterator[Subscription]:
        """A subscription that ends when the server closes."""
        with queue.subscribe(types=types, task_id=task_id, after=after) as feed:
            self._feeds.add(feed)
            try:
                with self.until_close(feed.end):
                    yield feed
            finally:
                self._feeds.discard(feed)

    def until_close(self, end: Callable[[], None]) -> _UntilClose:
        """For what would outlast the server: ``with context.until_close(end)`` has `end` called
        when it closes.
        """
        if self._closing:
            end()
        return _UntilClose(self._at_close, end)

    def close(self) -> None:
        """Answer all who wait for a task with how it stands now; let all who listen to events or
        read a stream take what is due, and then end.
        """
        self._closing = True
        for end in tuple(self._at_close):
            end()
