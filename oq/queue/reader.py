"""Reading a task's stream: from any offset, across attempts and restarts, to its last chunk."""

from __future__ import annotations

from typing import Protocol

import trio

from oq.actors.hub import Watch
from oq.actors.streams import Stream, Streams
from oq.rules.pieces import StreamLog, attempt_id, logged_chunks
from oq.words.stream import Chunk
from oq.words.task import TaskState


class Look(Protocol):
    """Reads where the task stands, and what is stored of its output once it has ended."""

    async def __call__(self) -> tuple[TaskState, StreamLog | None]: ...


class StreamReader:
    """Iterate over it for the chunks, one by one; it ends after the one with `done`.

    It ends without one only when the queue closes: open the stream again from `offset` and
    `attempt` where it goes on. `receive` gives all chunks that are due at once.
    """

    def __init__(
        self,
        look: Look,
        streams: Streams,
        watch: Watch,
        task_id: str,
        offset: int,
        attempt: int | None,
    ) -> None:
        self.offset = offset
        self.attempt = attempt
        self._look = look
        self._streams = streams
        self._watch = watch
        self._task_id = task_id
        self._stream: Stream | None = None
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

    async def receive(self) -> list[Chunk]:
        """The chunks that are due, at least one; none at the end."""
        await trio.lowlevel.checkpoint()
        while not self._done:
            if self._stream is not None:
                due = await self._live(self._stream)
                if due:
                    return due
                self._stream = None
            state, log = await self._look()
            if state.status.ended:
                return self._rest(state, log)
            self._stream = self._streams.get(self._task_id)
            if self._stream is None and not await self._watch.changed():
                break
        return []

    async def _live(self, stream: Stream) -> list[Chunk]:
        """What a running attempt has generated; nothing when it is over and all of it was read."""
        restart = self._turn_to(stream.log.attempt)
        if restart:
            return restart
        await stream.wait_news(self.offset)
        due = list(logged_chunks(stream.log, self.offset))
        if due:
            self.offset = due[-1].offset
        return due

    def _rest(self, state: TaskState, log: StreamLog | None) -> list[Chunk]:
        """All that is left to say of a task that has ended."""
        last = attempt_id(state.attempts[-1].started_at) if state.attempts else 0
        if log is None or log.attempt != last:
            log = StreamLog(last, [])  # the last attempt has generated nothing
        due = self._turn_to(last)
        due += logged_chunks(log, self.offset)
        offset = due[-1].offset if due else self.offset
        self._done = True
        due.append(
            Chunk(
                data="",
                offset=offset,
                done=True,
                attempt=self.attempt or 0,
                status=state.status,
                error=state.error,
            )
        )
        self.offset = offset
        return due

    def _turn_to(self, attempt: int) -> list[Chunk]:
        """Go on with this attempt: a reader that has seen another one is told to start anew."""
        before, self.attempt = self.attempt, attempt
        if before in (None, attempt) or not self.offset:
            return []
        self.offset = 0
        return [Chunk(data="", offset=0, done=False, attempt=attempt, restart=True)]
