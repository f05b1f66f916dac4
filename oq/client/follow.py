"""Following what goes on: what to ask for, what came, where to go on after a cut. No I/O.

A follower outlives its connections. Each is asked for with `call`, feeds its bytes to `feed`, and
is reported `lost`; nothing is yielded twice, and nothing left out without a word.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import httpx
import msgspec

from oq.client.failures import garbled, unreached
from oq.client.lines import Lines, ServerSent
from oq.client.requests import ApiRequest, feed_events, stream_task
from oq.client.retries import OnAway, Patience
from oq.words.durations import format_duration
from oq.words.errors import OqError, Unavailable
from oq.words.events import Event, EventType, Lagged
from oq.words.from_json import NOT_READ
from oq.words.stream import Chunk
from oq.words.views import QueueStatus

T = TypeVar("T")

QUIET = 60.0
"""Seconds without a byte after which a stream is asked for anew: the server may be gone."""

LASTING = 1.0
"""Seconds after which a connection that is cut may be made again at once. After others the pauses
grow, though the server is there: it must not be asked in a tight loop."""

Trouble = httpx.HTTPError | Unavailable | None


def late(server: str, seconds: float) -> Unavailable:
    """What is said of a feed of events that does not begin within so many seconds."""
    return Unavailable(f"{server} sent no events within {format_duration(seconds)}")


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """What a feed of events begins with: the seq of the last event before it."""

    seq: int
    status: QueueStatus | None = None


class Follower(Generic[T]):
    """See the module. `patience` is in seconds."""

    def __init__(self, server: str, patience: float) -> None:
        self.ended = False
        """There will be no more."""
        self._server = server
        self._patience = Patience(patience)
        self._connected: float | None = None  # since when

    @abstractmethod
    def call(self) -> ApiRequest[None]:
        """The request for what is still to come."""

    @abstractmethod
    def feed(self, data: bytes) -> list[T]:
        """What these bytes bring. Raises ServerNotReached if they are nothing that oq says."""

    def connected(self, now: float) -> None:
        """The server has answered with a success: it is there, though nothing may come for long."""
        self._connected = now
        self._patience.answered()

    def lost(self, trouble: Trouble, now: float) -> float:
        """The connection failed, was refused or (None) ended: seconds until the next one.

        Raises what is wrong when nothing has come for too long.
        """
        since, self._connected = self._connected, None
        lasted = since is not None and now - since >= LASTING
        if lasted or isinstance(trouble, httpx.ReadTimeout):
            self._patience.met()  # it was connected all the time, and nothing happened
        why = self._why(trouble)
        pause = self._patience.pause(now, why)
        if pause is None:
            raise why from None
        return pause

    def tell(self, on_away: OnAway | None) -> None:
        """Have it called when the server is found to be away."""
        self._patience.on_away = on_away

    def _why(self, trouble: Trouble) -> OqError:
        if isinstance(trouble, httpx.HTTPError):
            return unreached(trouble, self._server)
        return trouble or Unavailable(f"{self._server} ends what it should send before its end")

    def _met(self) -> None:
        self._patience.met()


class StreamFollower(Follower[Chunk]):
    """What one task generates, to the chunk that has `done`."""

    def __init__(
        self, server: str, patience: float, task_id: str, offset: int, attempt: int | None
    ) -> None:
        super().__init__(server, patience)
        self._task_id = task_id
        self._offset = offset
        self._attempt = attempt
        self._lines = Lines()

    def call(self) -> ApiRequest[None]:
        self._lines = Lines()  # half a line of the last connection comes again, whole
        return stream_task(self._task_id, self._offset, self._attempt, QUIET)

    def feed(self, data: bytes) -> list[Chunk]:
        chunks = [_decode(line, Chunk, self._server) for line in self._lines.feed(data) if line]
        for index, chunk in enumerate(chunks):
            self._offset, self._attempt = chunk.offset, chunk.attempt or self._attempt
            if chunk.done:
                self.ended = True
                return chunks[: index + 1]
        if chunks:
            self._met()
        return chunks


class Feed:
    """The numbers of a feed of events, over all of its connections."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        """The seq after which to go on; None before the first hello."""

    def take(self, item: Hello | Event | Lagged) -> Event | Lagged | None:
        """What a subscriber is told of it."""
        match item:
            case Hello(seq):
                return self._greet(seq)
            case Lagged():
                return item
            case Event(seq=seq, type=kind):
                if self.after is not None and seq <= self.after:
                    # Progress has no number of its own; anything else was seen before.
                    return item if kind is EventType.TASK_PROGRESS else None
                self.after = seq
                return item

    def _greet(self, seq: int) -> Lagged | None:
        before, self.after = self.after, seq if self.after is None else min(seq, self.after)
        if before is not None and seq < before:
            return Lagged(seq)  # the server has lost its history, or is another one
        return None


class _Subscription(Follower[Event | Lagged]):
    """The events of a server; a cut leaves no gap, and repeats none."""

    def __init__(
        self,
        server: str,
        patience: float,
        types: Iterable[str] | None = None,
        task_id: str | None = None,
        after: int | None = None,
    ) -> None:
        super().__init__(server, patience)
        self.greeted = False
        """Whether the present connection has begun: from then on no event is missed."""
        self._wanted: dict[str, object] = {"types": types, "task_id": task_id}
        self._numbers = Feed(after)

    def _call(self, path: str) -> ApiRequest[None]:
        self.greeted = False
        return feed_events(path, self._wanted | {"after": self._numbers.after}, QUIET)

    def _tell(self, items: Iterable[Hello | Event | Lagged]) -> list[Event | Lagged]:
        told = []
        for item in items:
            self._met()
            self.greeted = self.greeted or isinstance(item, Hello)
            told.append(self._numbers.take(item))
        return [item for item in told if item is not None]


class EventFollower(_Subscription):
    """The events of a server, as server-sent ones."""

    def call(self) -> ApiRequest[None]:
        self._events = ServerSent()
        return self._call("api/events")

    def feed(self, data: bytes) -> list[Event | Lagged]:
        return self._tell(read_item(event, self._server) for event in self._events.feed(data))


class FrameFollower(_Subscription):
    """The events of a server, as WebSocket frames: one object each, or an array of several."""

    def call(self) -> ApiRequest[None]:
        return self._call("ws")

    def feed(self, data: bytes) -> list[Event | Lagged]:
        if not data.startswith(b"["):
            return self._tell([read_item(data, self._server)])
        parts = _decode(data, list[msgspec.Raw], self._server)
        return self._tell(read_item(part, self._server) for part in parts)


class EndFollower(Follower[Hello | Event | Lagged]):
    """The ends of tasks, from now on: each connection begins anew, and says so with its hello."""

    def __init__(self, server: str, patience: float) -> None:
        super().__init__(server, patience)
        self._events = ServerSent()

    def call(self) -> ApiRequest[None]:
        self._events = ServerSent()
        return feed_events("api/events", {"types": _ENDS}, QUIET)

    def feed(self, data: bytes) -> list[Hello | Event | Lagged]:
        self._met()
        return [read_item(event, self._server) for event in self._events.feed(data)]


_ENDS = (EventType.TASK_COMPLETED, EventType.TASK_FAILED, EventType.TASK_CANCELLED)


def read_item(data: bytes | msgspec.Raw, server: str) -> Hello | Event | Lagged:
    """A hello, an event or a lag, from its JSON."""
    kind = _KINDS.get(_decode(data, _Kind, server).type, Event)
    item: Hello | Event | Lagged = _decode(data, kind, server)
    return item


class _Kind(msgspec.Struct):
    type: str


_KINDS: dict[str, type[Any]] = {"hello": Hello, "lagged": Lagged}


def _decode(data: bytes | msgspec.Raw, kind: type[T], server: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except NOT_READ:
        raise garbled(server) from None
