"""Reads the answer to a call: the backend's bytes, as they come.

Bytes that the caller has cannot be taken back: once a byte of an attempt has been read here, that
attempt is the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from oq.actors.streams import Stream, Take
from oq.queue.output_reader import Output, OutputReader
from oq.rules.stream_log import PORTION, StreamLog, portion_of
from oq.store import Parts, Record
from oq.words.errors import StoreCorrupt, Unavailable
from oq.words.head import Head
from oq.words.outcome import Refusal
from oq.words.task import TaskState

PassOn = Callable[[bytes], bool]
"""Passes bytes on without waiting. False: the caller does not keep up, and has to be waited for."""

_BROKEN_OFF = "oq was shut down in the middle of this answer"
_ANEW = "the task was tried again in the middle of this answer"


class Ended(Struct, frozen=True):
    """How a task has ended: its result, or what its backend said instead. `head` is the head of the
    answer that the result is the body of, unless the body has been read piece by piece.
    """

    state: TaskState
    result: bytes | None
    refusal: Refusal | None
    head: Head | None = None

    @classmethod
    def of(cls, record: Record, head: Head | None) -> Ended:
        """StoreCorrupt when the result cannot be read."""
        if record.problems:
            raise StoreCorrupt(record.problems[0])
        return cls(record.state, record.result, record.refusal, head)


class CallReader(OutputReader[bytes | Ended]):
    """Reads the answer for one caller.

    `receive` gives the bytes that are due, at most a portion, to be passed on; at last how the task
    ended. Unavailable when the queue closes before that, NotFound. While it waits for what follows
    the first of these bytes, `pass_on` gets that in the moment when it comes. Once that does not
    keep up, `receive` gives what is left, which may be nothing.
    """

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self.head: Head | None = None
        """The head of the answer that the bytes are of, once there are any. Answers that an older
        oq has stored have none.
        """
        self._slice: StreamLog | None = None  # that of a long chunk, which its readers share
        self._attempt: int | None = None  # of which bytes were given
        self._offset = 0  # in chunks
        self._cut = 0  # bytes that were given of the chunk there, if it is a long one
        self._pass_on: PassOn | None = None

    async def receive(self, pass_on: PassOn | None = None) -> bytes | Ended:
        """See `CallReader`."""
        self._pass_on = pass_on
        return await super().receive()

    async def _live(self, stream: Stream) -> bytes | None:
        take: Take | None = None
        if self._pass_on is not None and self._attempt == stream.log.attempt:
            take = partial(self._take, self._pass_on)
        await stream.wait_news(self._offset, take)
        log = await stream.slice(self._offset)
        if stream.void:
            if self._attempt is not None:
                raise Unavailable(_BROKEN_OFF)
            return None
        said = self._portion(log)
        if said:
            stream.sent = True
            self.head = stream.log.head
        return None if stream.ended and not said else said

    def _take(self, pass_on: PassOn, chunks: Sequence[bytes]) -> bool:
        said = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if len(said) > PORTION:
            return False
        self._offset += len(chunks)
        return pass_on(said)

    async def _rest(self) -> bytes | Ended | None:
        self._output.check_open()
        if self._slice is not None:
            return self._portion(self._slice)
        state, log = await self._output.ledger.stream(self._output.task_id, self._offset)
        if not state.status.ended:
            return None
        if log is not None:
            self.head = log.head
            if said := self._portion(log):
                return said
        return await self._end()

    async def _end(self) -> Ended | None:
        """How the task has ended; None while it has not."""
        self._output.check_open()
        record = await self._output.ledger.record(self._output.task_id, Parts.ENDING)
        return Ended.of(record, self.head) if record.state.status.ended else None

    def _closed(self) -> bytes | Ended:
        raise Unavailable(_BROKEN_OFF)

    def _portion(self, log: StreamLog) -> bytes:
        """The next bytes of the log; nothing at its end."""
        frames = portion_of(log.frames, max(self._offset - log.first, 0), len)
        if not frames:
            return b""
        if self._attempt not in (None, log.attempt):
            raise Unavailable(_ANEW)
        self._attempt = log.attempt
        said = b"".join(frames) if len(frames[0]) <= PORTION else self._part(frames[0])
        if self._cut:
            self._slice = log
            return said
        self._slice = None
        self._offset += len(frames)
        return said

    def _part(self, frame: bytes) -> bytes:
        """The next part of a long chunk."""
        begin = self._cut
        self._cut = begin + PORTION if begin + PORTION < len(frame) else 0
        return frame[begin : begin + PORTION]
