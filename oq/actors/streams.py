"""What running tasks have generated so far, for any number of readers: not an actor, but a board
that one of them writes on.

The worker pool writes, and never waits; a reader goes on from where it stands at its own pace, so
a slow one costs nobody anything, and finds what came meanwhile joined together.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from oq.rules.pieces import StreamLog, piece_of
from oq.words.stream import Piece


class Stream:
    """One attempt's output. Written to by the pool only; anybody may read `pieces`."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.pieces: list[Piece] = []
        self.ended = False
        self._news = trio.Event()

    async def wait_news(self, offset: int) -> None:
        """Return when there are pieces after `offset`, or the attempt has ended."""
        while len(self.pieces) <= offset and not self.ended:
            await self._news.wait()

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        if self._news.statistics().tasks_waiting:
            self._news.set()
            self._news = trio.Event()


class Streams:
    """The streams of the tasks that run. `on_piece` is called with each task's count of pieces."""

    def __init__(self, on_piece: Callable[[str, int], None]) -> None:
        self._streams: dict[str, Stream] = {}
        self._on_piece = on_piece

    def begin(self, task_id: str, attempt: int) -> None:
        """An attempt starts."""
        self._streams[task_id] = Stream(attempt)

    def emit(self, task_id: str, chunk: bytes) -> None:
        """A chunk has come from the backend."""
        stream = self._streams[task_id]
        stream.add(piece_of(chunk))
        self._on_piece(task_id, len(stream.pieces))

    def end(self, task_id: str) -> StreamLog | None:
        """The attempt is over; all that it generated, to be stored, if that is anything."""
        stream = self._streams.pop(task_id)
        stream.end()
        return StreamLog(stream.attempt, stream.pieces) if stream.pieces else None

    def get(self, task_id: str) -> Stream | None:
        """The stream of a task that runs."""
        return self._streams.get(task_id)
