"""Reading a task's stream: from any offset, across attempts and restarts, to its last chunk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from oq.actors.reads import Reads
from oq.actors.streams import Stream
from oq.dialects import piece_reader
from oq.queue.output_reader import Output, OutputReader
from oq.rules.stream_log import StreamLog, attempt_id, portion
from oq.store import Parts
from oq.words.errors import StoreCorrupt
from oq.words.stream import Chunk
from oq.words.task import TaskState


class StreamReader(OutputReader[list[Chunk]]):
    """Iterate over it for the chunks, one by one; it ends after the one with `done`.

    It ends without one only when the queue closes: open the stream again from `offset` and
    `attempt` where it goes on. `receive` gives the chunks that are due, a portion of them at once.
    `check` raises what keeps the task from being read.
    """

    def __init__(
        self,
        output: Output,
        check: Callable[[], Awaitable[None]],
        reads: Reads,
        offset: int,
        attempt: int | None,
    ) -> None:
        super().__init__(output)
        self.offset = offset
        self.attempt = attempt
        self._check = check
        self._reads = reads
        self._slice: StreamLog | None = None  # held while more of it is to be given
        self._done = False
        self._due: list[Chunk] = []

    def __aiter__(self) -> StreamReader:
        return self

    async def __anext__(self) -> Chunk:
        if not self._due:
            self._due = (await self.receive())[::-1]
        if not self._due:
            raise StopAsyncIteration
        return self._due.pop()

    async def _live(self, stream: Stream) -> list[Chunk] | None:
        restart = self._turn_to(stream.log.attempt)
        if restart:
            return restart
        await stream.wait_news(self.offset)
        return self._portion(await stream.slice(self.offset)) or None

    async def _rest(self) -> list[Chunk] | None:
        if self._done:
            return []
        await self._check()
        try:
            state, log = await self._stored()
        except StoreCorrupt as error:
            self._done = True
            state = await self._output.ledger.state(self._output.task_id)
            due = self._turn_to(_last_attempt(state))
            return [*due, self._end(replace(state, error=state.error or str(error)))]
        if not state.status.ended:
            return None
        due = self._turn_to(_last_attempt(state))
        if log is not None and log.head is not None and not log.end:
            log = await self._whole(log)
        if log is not None:
            due += self._portion(log)
        if log is None or (self.offset >= log.end and not log.more):
            self._done = True
            self._reads.note(state)
            due.append(self._end(state))
        return due or None

    async def _whole(self, log: StreamLog) -> StreamLog:
        """An answer that came in one piece has nothing in its log: the result is all of it."""
        record = await self._output.ledger.record(self._output.task_id, Parts.ENDING)
        return log if record.result is None else replace(log, frames=[record.result])

    async def _stored(self) -> tuple[TaskState, StreamLog | None]:
        """Where the task stands, and the slice that comes next: None if its last attempt has
        generated nothing. One that follows another attempt begins at its start.
        """
        held = self._slice
        if held is not None and held.first <= self.offset < held.end:
            state = await self._output.ledger.state(self._output.task_id)
            if held.attempt == _last_attempt(state):
                return state, held
        state, log = await self._output.ledger.stream(self._output.task_id, self.offset)
        if self.attempt not in (None, _last_attempt(state)):
            state, log = await self._output.ledger.stream(self._output.task_id, 0)
        return state, log if log is not None and log.attempt == _last_attempt(state) else None

    def _portion(self, log: StreamLog) -> list[Chunk]:
        due = portion(log, self.offset, piece_reader(log.call))
        if due:
            self.offset = due[-1].offset
        # The only chunk of a slice may be a long one, of which readers share the decoded form.
        self._slice = log if self.offset < log.end or len(log) == 1 else None
        return due

    def _closed(self) -> list[Chunk]:
        return []

    def _end(self, state: TaskState) -> Chunk:
        return Chunk(
            data="",
            offset=self.offset,
            done=True,
            attempt=self.attempt or 0,
            status=state.status,
            error=state.error,
        )

    def _turn_to(self, attempt: int) -> list[Chunk]:
        """Go on with this attempt: a reader that has seen another one is told to start anew."""
        before, self.attempt = self.attempt, attempt
        if before in (None, attempt) or not self.offset:
            return []
        self.offset = 0
        return [Chunk(data="", offset=0, done=False, attempt=attempt, restart=True)]


def _last_attempt(state: TaskState) -> int:
    return attempt_id(state.attempts[-1].started_at) if state.attempts else 0
