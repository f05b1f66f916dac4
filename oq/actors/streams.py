"""What running tasks have generated so far, for any number of readers: not an actor, but a board
that one of them writes on.

The worker pool writes, and never waits; a reader goes on from where it stands at its own pace, so
a slow one costs nobody anything, and finds what came meanwhile joined together.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from oq.rules.slices import OpenLog


class Stream:
    """One attempt's output. Written to by the pool only; anybody may read `log`, which is made when
    the first chunk or reader comes: many tasks have neither.

    A caller that passes on what cannot be taken back sets `told`: this attempt is then the last.
    `void` says that another follows, and nothing of this one is to be passed on.
    """

    __slots__ = ("_attempt", "_log", "_news", "_verbatim", "ended", "told", "void")

    def __init__(self, attempt: int, *, verbatim: bool) -> None:
        self._attempt = attempt
        self._verbatim = verbatim
        self._log: OpenLog | None = None
        self.ended = False
        self.told = False
        self.void = False
        self._news: trio.Event | None = None  # of those who wait; most streams have no reader

    @property
    def log(self) -> OpenLog:
        """What it has generated so far."""
        if self._log is None:
            self._log = OpenLog(self._attempt, verbatim=self._verbatim)
        return self._log

    def records(self) -> tuple[bytes, ...]:
        """The same as it is stored."""
        return () if self._log is None else self._log.records()

    async def wait_news(self, offset: int) -> None:
        """Return when there are chunks after `offset`, or the attempt has ended."""
        while len(self.log) <= offset and not self.ended:
            if self._news is None:
                self._news = trio.Event()
            await self._news.wait()

    def add(self, chunk: bytes) -> None:
        self.log.add(chunk)
        self._wake()

    def end(self, *, void: bool) -> None:
        self.ended, self.void = True, void
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


class Streams:
    """The streams of the tasks that run. `on_piece` is called with each task's count of pieces."""

    def __init__(self, on_piece: Callable[[str, int], None]) -> None:
        self._streams: dict[str, Stream] = {}
        self._on_piece = on_piece

    def begin(self, task_id: str, attempt: int, *, verbatim: bool) -> None:
        """An attempt starts. `verbatim`: its chunks are kept as they are."""
        self._streams[task_id] = Stream(attempt, verbatim=verbatim)

    def emit(self, task_id: str, chunk: bytes) -> None:
        """A chunk has come from the backend."""
        stream = self._streams[task_id]
        stream.add(chunk)
        self._on_piece(task_id, len(stream.log))

    def told(self, task_id: str) -> bool:
        """Whether somebody was told of this attempt what cannot be taken back."""
        return self._streams[task_id].told

    def end(self, task_id: str, *, void: bool) -> tuple[bytes, ...]:
        """The attempt is over; all that it generated, as it is stored, unless that is `void`:
        another will be made.
        """
        stream = self._streams.pop(task_id)
        stream.end(void=void)
        return () if void else stream.records()

    def get(self, task_id: str) -> Stream | None:
        """The stream of a task that runs."""
        return self._streams.get(task_id)
