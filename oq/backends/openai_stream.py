"""An OpenAI-compatible answer as Ollama would have given it: chunk by chunk, then the whole.

The tool calls of a stream come in pieces; Ollama gives each whole, so they are held until the
model has finished. Durations are llama.cpp's `timings` where they are sent, else measured.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from oq.dialects.answer_errors import decode_answer, quoted
from oq.dialects.answer_limit import MAX_ANSWER, AnswerLimit
from oq.dialects.base import Emit
from oq.dialects.growing_text import Halves
from oq.dialects.openai_fold import OpenAIFold, said_in
from oq.dialects.reading import Json, count, read, read_object, said_arguments, write
from oq.dialects.stated_errors import check_stated
from oq.words.errors import BackendFailure
from oq.words.outcome import Completed
from oq.words.task import TaskType


class _Embedding(Struct):
    embedding: Raw
    index: int = 0


class _Embeddings(Struct):
    data: list[_Embedding]
    usage: Any = None


_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)


class TranslatedFold:
    """Takes the events of one answer; see `oq.dialects.events.EventFold`. `emit` gets the chunks in
    Ollama's form. `now` tells the seconds of a monotonic clock; `limit` is in bytes of memory.
    """

    def __init__(
        self,
        kind: TaskType,
        model: str,
        created_at: datetime,
        now: Callable[[], float],
        emit: Emit,
        limit: int = MAX_ANSWER,
    ) -> None:
        self._chat = kind is TaskType.CHAT
        self._head = {"model": model, "created_at": created_at}
        self._now = now
        self._emit = emit
        self._allowance = AnswerLimit(limit)
        self._fold = OpenAIFold(self._pass_on)
        self._text, self._thinking = Halves(), Halves()
        self._started = now()
        self._first: float | None = None

    @property
    def done(self) -> bool:
        """See `EventFold`."""
        return self._fold.done

    @property
    def begun(self) -> bool:
        """Whether anything has been generated."""
        return self._first is not None

    def add(self, data: bytes, frame: bytes) -> bool:
        """See `EventFold`."""
        return self._fold.add(data, frame)

    def add_usual(self, frame: bytes) -> bool:
        """See `EventFold`: none is read in another way."""
        return False

    def completed(self) -> Completed:
        """See `EventFold`. The last chunks are emitted: the tool calls, if there are any, and the
        one with done.
        """
        self._fold.check()
        choice = next(iter(self._fold.choices()), {})
        text, thinking = said_in(choice)
        calls = [self._called(call) for call in _calls_in(choice)]
        said: Json = {"thinking": thinking} if thinking else {}
        if calls:
            said["tool_calls"] = calls
            self._emit(self._chunk("", {"tool_calls": calls}))
        end = {"done": True, "done_reason": _reason(choice)} | self._counts()
        self._emit(self._chunk(self._text.rest(), {}, end))
        logprobs = _logprobs(choice)
        more = end | ({"logprobs": logprobs} if logprobs else {})
        return Completed(self._chunk(text, said, more), self._fold.usage, self._fold.timings)

    def _pass_on(self, choice: Json) -> None:
        """Emit what an event says of the choice."""
        text, thinking = said_in(choice)
        text, thinking = self._text.join(text), self._thinking.join(thinking)
        logprobs = _logprobs(choice)
        if not text and not thinking and not logprobs:
            return
        self._first = self._now() if self._first is None else self._first
        more = {"logprobs": logprobs} if logprobs else {}
        self._emit(self._chunk(text, {"thinking": thinking} if thinking else {}, more))

    def _chunk(self, text: str, said: Json, more: Json | None = None) -> bytes:
        fields: Json = dict(self._head)
        if self._chat:
            fields["message"] = {"role": "assistant", "content": text, **said}
        else:
            fields |= {"response": text, **said}
        return write(fields | {"done": False} | (more or {}))

    def _called(self, call: Json) -> Json:
        """A tool call in Ollama's form."""
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = _read(function.get("name")) or "", _read(function.get("arguments"))
        if not isinstance(arguments, dict):
            arguments = self._arguments(name, arguments)
        said = {"function": {"name": name, "arguments": arguments}}
        return {"id": call["id"], **said} if call.get("id") else said

    def _arguments(self, name: Any, said: Any) -> Json:
        text = said.encode() if isinstance(said, str) else b""
        self._allowance.take(text)  # as a text it was one value, now it is decoded
        arguments = read_object(said_arguments(said if isinstance(said, str) else "").encode())
        if arguments is None:
            raise BackendFailure(
                f"the model called {name!r} with arguments that are no JSON object: {quoted(text)}"
            )
        return arguments

    def _counts(self) -> Json:
        now = self._now()
        first = now if self._first is None else self._first
        timings = self._fold.field("timings")
        timings = timings if isinstance(timings, dict) else {}
        prompt, answer = _seconds(timings.get("prompt_ms")), _seconds(timings.get("predicted_ms"))
        counts: Json = {
            "total_duration": _nanoseconds(now - self._started),
            "load_duration": 0,
            "prompt_eval_duration": _nanoseconds(
                first - self._started if prompt is None else prompt
            ),
            "eval_duration": _nanoseconds(now - first if answer is None else answer),
        }
        usage = self._fold.usage
        if usage is not None:
            counts["prompt_eval_count"] = usage.prompt_tokens
            counts["eval_count"] = usage.completion_tokens
        return counts


def ollama_embeddings(body: bytes, model: str, seconds: float) -> bytes:
    """The answer to /v1/embeddings as /api/embed gives it; each number stays as it was sent. One
    that is no number is null. An error that the body states is raised.
    """
    check_stated(body)
    if b"NaN" in body or b"Infinity" in body:
        body = write(read_object(body))
    answer = decode_answer(_EMBEDDINGS.decode, body)
    fields: Json = {
        "model": model,
        "embeddings": [e.embedding for e in sorted(answer.data, key=lambda each: each.index)],
        "total_duration": _nanoseconds(seconds),
        "load_duration": 0,
    }
    if isinstance(answer.usage, dict):
        fields["prompt_eval_count"] = count(answer.usage.get("prompt_tokens"))
    return msgspec.json.encode(fields)


def _calls_in(choice: Json) -> list[Json]:
    message = choice.get("message")
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _reason(choice: Json) -> str:
    """Ollama says "stop" when the model stops to call a tool."""
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) and reason not in ("", "tool_calls") else "stop"


def _logprobs(choice: Json) -> list[Any]:
    said = choice.get("logprobs")
    content = said.get("content") if isinstance(said, dict) else None
    return content if isinstance(content, list) else []


def _read(value: Any) -> Any:
    """The value, which may be JSON still."""
    return read(value) if isinstance(value, Raw) else value


def _seconds(milliseconds: Any) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float)):
        return None
    return milliseconds / 1000 if 0 <= milliseconds < 1e12 else None


def _nanoseconds(seconds: float) -> int:
    return round(max(0.0, seconds) * 1e9)
