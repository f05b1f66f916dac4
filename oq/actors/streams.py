"""What running tasks have generated so far, for any number of readers. It is not an actor, but a
structure in memory that the pool writes and readers read.

The pool never waits for a reader. Each reader continues from its own offset at its own pace. A slow
reader delays nobody: the chunks that came meanwhile reach it joined together. One that keeps up may
be given what comes in the moment when it comes: to wake its task would cost more than all else that
is done for a chunk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio
from msgspec import Struct
from msgspec.structs import replace

from oq.rules.slices import OpenLog
from oq.rules.stream_log import StreamLog
from oq.words.channels import put
from oq.words.errors import OqError
from oq.words.head import Head
from oq.words.messages import Commit
from oq.words.receipts import Receipt
from oq.words.steps import Ahead, Change, InParts, Records

AHEAD = 1 << 20
"""A stream with so many bytes of full slices has them written to disk, before its end."""
AHEAD_AT_ONCE = 2 << 20
"""Bytes that are written ahead in one step, and of each part of a long result."""

Take = Callable[[Sequence[bytes]], bool]
"""Takes chunks that have just come together, or refuses them, and never waits or raises. False: it
takes no more, and its task goes on."""

ReadBack = Callable[[str, int], Awaitable[StreamLog | None]]


class Stream(Struct, eq=False):
    """The output of one attempt. Only the pool writes to it, and anybody may read `log`. The log is
    made when the first chunk or the first reader comes: many tasks have neither.

    `sent` is set when a part of the output was sent to the caller of an API: this attempt is then
    the last, because the caller cannot forget it. `seen` is set when anybody has read a part.
    `void` means that another attempt follows, and nothing more of this one may be sent. `ahead` is
    the receipt of slices that are being written before the end. It stays if they were refused; then
    no more are written.
    """

    _task_id: str
    _attempt: int
    _call: str | None
    _read_back: ReadBack
    _log: OpenLog | None = None
    _news: trio.Event | None = None  # wakes the readers; most streams have none
    _takers: dict[Take, trio.Event] = {}  # wakes those who take no more
    ahead: Receipt | None = None
    ended: bool = False
    sent: bool = False
    seen: bool = False
    void: bool = False

    @property
    def log(self) -> OpenLog:
        """What the attempt has generated so far."""
        if self._log is None:
            self._log = OpenLog(self._attempt, self._call)
        return self._log

    @property
    def produced(self) -> int:
        """How many chunks have come."""
        return 0 if self._log is None else len(self._log)

    def records(self) -> Records | None:
        """The records of the part that is not on disk yet."""
        return None if self._log is None else self._log.records()

    async def slice(self, offset: int) -> StreamLog:
        """The slice with this offset, or the last slice. It is empty if the slice was deleted,
        because another attempt has begun. StoreCorrupt if it cannot be read.
        """
        self.seen = self.seen or len(self.log) > 0
        held = self.log.slice(offset)
        if held is not None:
            return held
        stored = await self._read_back(self._task_id, offset)
        mine = stored is not None and stored.attempt == self._attempt
        return stored if stored is not None and mine else StreamLog(self._attempt, [])

    def begin(self, head: Head) -> None:
        """The backend begins to answer a call."""
        self.log.head = head

    async def wait_news(self, offset: int, take: Take | None = None) -> None:
        """Wait until there are chunks after `offset`, or the attempt has ended. Whoever keeps up is
        woken once for all chunks that have come together. With `take` the chunks that come while
        this waits are given to it, and the wait ends when it takes no more.
        """
        if len(self.log) > offset or self.ended:
            await trio.lowlevel.checkpoint()
        elif take is not None:
            await self._give(take)
        else:
            if self._news is None:
                self._news = trio.Event()
            await self._news.wait()

    async def _give(self, take: Take) -> None:
        """Give `take` what comes, until it takes no more, or the attempt has ended."""
        enough = self._takers[take] = trio.Event()
        try:
            await enough.wait()
        finally:
            del self._takers[take]

    def add(self, chunks: Sequence[bytes]) -> None:
        """These have come together."""
        log = self.log
        for chunk in chunks:
            log.add(chunk)
        for take, enough in self._takers.items():
            if not (enough.is_set() or take(chunks)):
                enough.set()
        self._wake()

    def end(self, *, void: bool) -> None:
        self.ended, self.void = True, void
        for enough in self._takers.values():
            enough.set()
        self._wake()

    def settle_ahead(self, records: Records) -> None:
        """These records are on disk now. If the disk was full, they stay in memory."""
        if self.ahead is not None and self.ahead.error is None:
            self.log.note_kept(records)
            self.ahead = None

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


class Streams:
    """The streams of running tasks. `on_piece` is called with a task's id and its number of chunks
    so far. `read_back` reads the stored slice of a task's stream at an offset; None if there is
    none.
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
        """An attempt starts. If the task is a call of an API, `call` is the path of the call."""
        self._streams[task_id] = Stream(task_id, attempt, call, self._read_back)

    def emit(self, task_id: str, said: bytes | Head, /, *more: bytes) -> None:
        """What has come from the backend: see `oq.dialects.base.Emit`."""
        stream = self._streams[task_id]
        if isinstance(said, Head):
            stream.begin(said)
            return
        stream.add((said, *more))
        log = stream.log
        self._on_piece(task_id, len(log))
        if log.waiting >= AHEAD and stream.ahead is None:
            self._write_ahead(task_id, stream)

    def sent(self, task_id: str) -> bool:
        """Whether a part of this attempt was sent to the caller of an API."""
        return self._streams[task_id].sent

    def seen(self, task_id: str) -> bool:
        """Whether anybody has read a part of this attempt."""
        stream = self._streams[task_id]
        return stream.seen or stream.sent

    async def end(self, change: Change) -> Change:
        """The attempt ends with this change. Return the change together with the output, unless
        another attempt follows. A long output is written to disk first, if there is space.
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
        if isinstance(result, bytes) and len(result) > AHEAD_AT_ONCE:
            result = await self._write_result(task_id, stream, result)
        records = stream.records()
        if records is None:
            return change
        return replace(change, stream=records, result=result)

    def get(self, task_id: str) -> Stream | None:
        """The stream of a running task, or None."""
        return self._streams.get(task_id)

    def _write_ahead(self, task_id: str, stream: Stream) -> None:
        """Have the full slices written. If the writer has no room, a later chunk asks again."""
        records = stream.log.ahead(AHEAD_AT_ONCE)
        receipt = Receipt(on_settled=lambda: stream.settle_ahead(records))
        with suppress(trio.WouldBlock):
            self._to_writer.send_nowait(Commit([Ahead(task_id, records)], receipt))
            stream.ahead = receipt

    async def _write_result(self, task_id: str, stream: Stream, result: bytes) -> bytes | InParts:
        """Write a long result in parts, and return a mark that it is in parts. If the disk is full,
        return the result itself.
        """
        for start in range(0, len(result), AHEAD_AT_ONCE):
            step = Ahead(task_id, stream.log.part(result[start : start + AHEAD_AT_ONCE]))
            receipt = Receipt()
            await put(self._to_writer, Commit([step], receipt))
            try:
                await receipt.wait()
            except OqError:
                return result
        return InParts()
