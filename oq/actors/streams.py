"""What running tasks have generated so far, for any number of readers: not an actor, but a board
that one of them writes on.

The worker pool writes, and never waits; a reader goes on from where it stands at its own pace, so
a slow one costs nobody anything, and finds what came meanwhile joined together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio
from msgspec.structs import replace

from oq.rules.slices import OpenLog
from oq.rules.stream_log import StreamLog
from oq.words.channels import put
from oq.words.errors import OqError
from oq.words.messages import Commit
from oq.words.receipts import Receipt
from oq.words.steps import Ahead, Change, InParts, Records

AHEAD = 1 << 20
"""Bytes of full slices that a stream holds before they are written ahead of its end."""
AHEAD_AT_ONCE = 2 << 20
"""Bytes that are written ahead in one go, and of each part of a long result."""

ReadBack = Callable[[str, int], Awaitable[StreamLog | None]]


class Stream:
    """One attempt's output. Written to by the pool only; anybody may read `log`, which is made when
    the first chunk or reader comes: many tasks have neither.

    A caller that passes on what cannot be taken back sets `told`: this attempt is then the last.
    `void` says that another follows, and nothing of this one is to be passed on. `ahead` is the
    receipt of what is being written ahead, or was refused: then no more is.
    """

    __slots__ = (
        "_attempt", "_call", "_log", "_news", "_read_back", "ahead", "ended", "told", "void"
    )  # fmt: skip

    def __init__(
        self,
        attempt: int,
        call: str | None,
        read_back: Callable[[int], Awaitable[StreamLog | None]],
    ) -> None:
        self._attempt = attempt
        self._call = call
        self._read_back = read_back
        self._log: OpenLog | None = None
        self.ahead: Receipt | None = None
        self.ended = False
        self.told = False
        self.void = False
        self._news: trio.Event | None = None  # of those who wait; most streams have no reader

    @property
    def log(self) -> OpenLog:
        """What it has generated so far."""
        if self._log is None:
            self._log = OpenLog(self._attempt, self._call)
        return self._log

    def records(self) -> Records | None:
        """What of it is not on disk yet, as it is stored."""
        return None if self._log is None else self._log.records()

    async def slice(self, offset: int) -> StreamLog:
        """The slice in which this offset lies, or the last one; an empty one if it has gone, which
        happens when another attempt has begun. StoreCorrupt.
        """
        held = self.log.slice(offset)
        if held is not None:
            return held
        stored = await self._read_back(offset)
        mine = stored is not None and stored.attempt == self._attempt
        return stored if stored is not None and mine else StreamLog(self._attempt, [])

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

    def settle_ahead(self, records: Records) -> None:
        """These were written ahead, or refused because the disk is full: then they stay here."""
        if self.ahead is not None and self.ahead.error is None:
            self.log.note_kept(records)
            self.ahead = None

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


class Streams:
    """The streams of the tasks that run. `on_piece` is called with each task's count of pieces.
    `read_back` gives the stored slice of a task's stream for an offset, None if there is none.
    """

    def __init__(
        self,
        on_piece: Callable[[str, int], None],
        to_writer: trio.MemorySendChannel[Commit],
        read_back: ReadBack,
    ) -> None:
        self._streams: dict[str, Stream] = {}
        self._on_piece = on_piece
        self._to_writer = to_writer
        self._read_back = read_back

    def begin(self, task_id: str, attempt: int, call: str | None) -> None:
        """An attempt starts. `call`: the path of the call that the task is, if it is one."""
        self._streams[task_id] = Stream(attempt, call, partial(self._read_back, task_id))

    def emit(self, task_id: str, chunk: bytes) -> None:
        """A chunk has come from the backend."""
        stream = self._streams[task_id]
        stream.add(chunk)
        self._on_piece(task_id, len(stream.log))
        if stream.log.waiting >= AHEAD and stream.ahead is None:
            self._write_ahead(task_id, stream)

    def told(self, task_id: str) -> bool:
        """Whether somebody was told of this attempt what cannot be taken back."""
        return self._streams[task_id].told

    async def end(self, change: Change) -> Change:
        """The attempt is over, by this change; the same with all that was generated, unless another
        attempt will be made. What is long is on disk before it, if there is room.
        """
        task_id, void = change.state.id, not change.state.status.ended
        stream = self._streams.pop(task_id)
        stream.end(void=void)
        if stream.ahead is not None:
            with suppress(OqError):  # then it stays in memory
                await stream.ahead.wait()
        if void:
            return change
        result = change.result
        if isinstance(result, bytes):
            result = await self._write_result(task_id, stream, result)
        records = stream.records()
        if records is None:
            return change
        return replace(change, stream=records, result=result)

    def get(self, task_id: str) -> Stream | None:
        """The stream of a task that runs."""
        return self._streams.get(task_id)

    def _write_ahead(self, task_id: str, stream: Stream) -> None:
        """Have the full slices written; when the writer has no room, a later chunk asks again."""
        records = stream.log.ahead(AHEAD_AT_ONCE)
        receipt = Receipt(on_settled=lambda: stream.settle_ahead(records))
        with suppress(trio.WouldBlock):
            self._to_writer.send_nowait(Commit([Ahead(task_id, records)], receipt))
            stream.ahead = receipt

    async def _write_result(self, task_id: str, stream: Stream, result: bytes) -> bytes | InParts:
        """Write a long result in parts; what stands in its place, or all of it if there is no room
        for them.
        """
        if len(result) <= AHEAD_AT_ONCE:
            return result
        for start in range(0, len(result), AHEAD_AT_ONCE):
            step = Ahead(task_id, stream.log.part(result[start : start + AHEAD_AT_ONCE]))
            receipt = Receipt()
            await put(self._to_writer, Commit([step], receipt))
            try:
                await receipt.wait()
            except OqError:
                return result
        return InParts()
