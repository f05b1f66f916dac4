"""Reads an answer of Ollama's /api/chat, streamed or whole, into bits.

https://github.com/ollama/ollama/blob/main/docs/api.md: each line is an object, and the last one has
``"done": true``. Calls of tools come whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from oq.dialects.answer_errors import quoted, states_error
from oq.dialects.answer_limit import AnswerLimit
from oq.dialects.framing import End, Frames
from oq.dialects.reading import Json, count, read_object
from oq.dialects.stated_errors import stated
from oq.dialects.translate.bits import Bit, Counts, Finish, Kind
from oq.words.errors import BackendFailure


class OllamaAnswer:
    """See `oq.dialects.translate.bits.Reader`."""

    def __init__(self, limit: int) -> None:
        self._lines = Frames(End.LINE)
        self._limit = AnswerLimit(limit)
        self._calls = 0
        self.finish: Finish | None = None
        self.counts: Counts | None = None
        self.done = False

    def feed(self, data: bytes) -> list[Bit]:
        """See `Reader`."""
        return [bit for line in self._lines.feed(data) for bit in self._read(line)]

    def end(self) -> list[Bit]:
        """See `Reader`."""
        bits = [] if self.done else self._read(self._lines.rest())
        if self.finish is None:
            raise BackendFailure("the backend's answer ended before it was done")
        return bits

    def _read(self, line: bytes) -> list[Bit]:
        if self.done or not line.strip():
            return []
        self._limit.take(line)
        said = read_object(line)
        if said is None:
            raise BackendFailure(f"the backend sent something that is no answer: {quoted(line)}")
        if states_error(said):
            raise stated(line, line)
        message = said.get("message")
        bits = self._message(message) if isinstance(message, dict) else []
        if said.get("done") is True:
            reason = said.get("done_reason")
            self.done = True
            self.finish = Finish(reason if isinstance(reason, str) and reason else "stop")
            if "prompt_eval_count" in said or "eval_count" in said:
                counted = (said.get("prompt_eval_count"), said.get("eval_count"))
                self.counts = Counts(*map(count, counted))
        return bits

    def _message(self, message: Json) -> list[Bit]:
        bits = []
        for key, kind in (("thinking", Kind.THOUGHT), ("content", Kind.TEXT)):
            if isinstance(text := message.get(key), str) and text:
                bits.append(Bit(kind, text))
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            bits += self._call(call)
        return bits

    def _call(self, call: Any) -> list[Bit]:
        match call:
            case {"function": {"name": str(name)} as function}:
                arguments = function.get("arguments")
                text = msgspec.json.encode({} if arguments is None else arguments).decode()
                call_id = call.get("id")
                place, self._calls = self._calls, self._calls + 1
                known = call_id if isinstance(call_id, str) else ""
                return [Bit(Kind.CALL, text, place, known, name)]
            case _:
                return []
