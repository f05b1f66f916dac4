"""Reads the frames of a call that goes on without its caller.

Unlike `oq.queue.call_reader` it does not make an attempt the last one: whoever reads along has no
say in how often the call is tried.
"""

from __future__ import annotations

from oq.actors.streams import Stream
from oq.queue.output_reader import Output, OutputReader
from oq.rules.stream_log import StreamLog, attempt_id, portion_of
from oq.words.errors import Unavailable
from oq.words.task import TaskState

_CLOSED = "oq is shutting down; this response is kept, and goes on when it is back"


class FrameReader(OutputReader[list[bytes]]):
    """Reads the frames of each attempt from its beginning, for one reader.

    `receive` gives the frames that are due, at least one and about a portion; none when the task
    has ended. Unavailable when the queue closes, NotFound.

    `attempt` is the one that the last frames are of, and `first` whether it is the task's first. If
    it is another one than before, these frames are its first. `generated` says, at the end, whether
    the last attempt has any frames.
    """

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self.attempt: int | None = None
        self.first = True
        self.generated = False
        self._offset = 0  # in frames of the attempt

    async def _live(self, stream: Stream) -> list[bytes] | None:
        output = self._output
        if stream.log.attempt != self.attempt:
            self._turn_to(stream.log.attempt, await output.ledger.state(output.task_id))
        await stream.wait_news(self._offset)
        return self._portion(await stream.slice(self._offset)) or None

    async def _rest(self) -> list[bytes] | None:
        output = self._output
        output.check_open()
        state, log = await output.ledger.stream(output.task_id, self._offset)
        if not state.status.ended:
            return None
        last = attempt_id(state.attempts[-1].started_at) if state.attempts else 0
        if last != self.attempt:
            self._turn_to(last, state)
            _, log = await output.ledger.stream(output.task_id, 0)
        if log is None or log.attempt != last:
            return []
        self.generated = log.end > 0
        return self._portion(log)

    def _closed(self) -> list[bytes]:
        raise Unavailable(_CLOSED)

    def _turn_to(self, attempt: int, state: TaskState) -> None:
        """Go on with this attempt. Its start may not be on disk yet."""
        self.attempt, self._offset = attempt, 0
        self.first = [attempt_id(each.started_at) for each in state.attempts] in ([], [attempt])

    def _portion(self, log: StreamLog) -> list[bytes]:
        frames = portion_of(log.frames, max(self._offset - log.first, 0), len)
        self._offset += len(frames)
        return frames
