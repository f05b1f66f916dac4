"""Reads the frames of a call that goes on without its caller.

Unlike `oq.queue.call_reader` it does not make an attempt the last one: whoever reads along has no
say in how often the call is tried.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from oq.actors.hub import Watch
from oq.actors.streams import Stream, Streams
from oq.rules.stream_log import StreamLog, attempt_id, portion_of
from oq.store import Durable
from oq.words.errors import Unavailable
from oq.words.task import TaskState

_CLOSED = "oq is shutting down; this response is kept, and goes on when it is back"


class FrameReader:
    """Reads the frames of each attempt from its beginning, for one reader.

    `attempt` is the one that the last frames are of, and `first` whether it is the task's first.
    `generated` says, at the end, whether the last attempt has any frames.
    """

    def __init__(
        self,
        ledger: Durable,
        check_open: Callable[[], None],
        streams: Streams,
        watch: Watch,
        task_id: str,
    ) -> None:
        self.attempt: int | None = None
        self.first = True
        self.generated = False
        self._ledger = ledger
        self._check_open = check_open
        self._streams = streams
        self._watch = watch
        self._task_id = task_id
        self._stream: Stream | None = None
        self._offset = 0  # in frames of the attempt

    async def receive(self) -> list[bytes]:
        """The frames that are due, at least one and about a portion; none when the task has ended.

        If `attempt` is another one than before, these are its first. Unavailable when the queue
        closes, NotFound.
        """
        await trio.lowlevel.checkpoint()
        while True:
            if self._stream is not None:
                due = await self._live(self._stream)
                if due:
                    return due
                self._stream = None
            self._check_open()
            state, log = await self._ledger.stream(self._task_id, self._offset)
            if state.status.ended:
                return await self._rest(state, log)
            self._stream = self._streams.get(self._task_id)
            if self._stream is None and not await self._watch.changed():
                raise Unavailable(_CLOSED)

    async def _live(self, stream: Stream) -> list[bytes]:
        """What a running attempt has said since; nothing when it is over."""
        if stream.log.attempt != self.attempt:
            self._turn_to(stream.log.attempt, await self._ledger.state(self._task_id))
        await stream.wait_news(self._offset)
        return self._portion(await stream.slice(self._offset))

    async def _rest(self, state: TaskState, log: StreamLog | None) -> list[bytes]:
        """What is left to say of a task that has ended."""
        last = attempt_id(state.attempts[-1].started_at) if state.attempts else 0
        if last != self.attempt:
            self._turn_to(last, state)
            _, log = await self._ledger.stream(self._task_id, 0)
        if log is None or log.attempt != last:
            return []
        self.generated = log.end > 0
        return self._portion(log)

    def _turn_to(self, attempt: int, state: TaskState) -> None:
        """Go on with this attempt. Its start may not be on disk yet."""
        self.attempt, self._offset = attempt, 0
        self.first = [attempt_id(each.started_at) for each in state.attempts] in ([], [attempt])

    def _portion(self, log: StreamLog) -> list[bytes]:
        frames = portion_of(log.frames, max(self._offset - log.first, 0), len)
        self._offset += len(frames)
        return frames
