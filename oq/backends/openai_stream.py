"""An OpenAI-compatible answer as Ollama would have given it: chunk by chunk, then the whole.

The tool calls of a stream come in pieces; Ollama gives each whole, so they are held until the
model has finished. Durations are llama.cpp's `timings` where they are sent, else measured.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field

from oq.dialects.answer_errors import decode_answer, error_text, quoted, states_error
from oq.dialects.answer_limit import MAX_ANSWER, AnswerLimit
from oq.words.errors import BackendFailure
from oq.words.task import TaskType

MAX_TOOL_CALLS = 1024


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function = field(default_factory=_Function)


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None


class _Logprobs(Struct):
    content: list[msgspec.Raw] | None = None


class _Choice(Struct):
    index: int = 0
    delta: _Delta = field(default_factory=_Delta)
    text: str | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Timings(Struct):
    prompt_ms: float | None = None
    predicted_ms: float | None = None


_NULL = msgspec.Raw(b"null")


class _Event(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: msgspec.Raw = _NULL
    object: msgspec.Raw = _NULL
    message: msgspec.Raw = _NULL
    detail: msgspec.Raw = _NULL

    def states_error(self) -> bool:
        said = {key: getattr(self, key) for key in ("error", "object", "message", "detail")}
        return states_error({**said, "choices": self.choices} if self.choices else said)


class _Embedding(Struct):
    embedding: msgspec.Raw
    index: int = 0


class _Embeddings(Struct):
    data: list[_Embedding]
    usage: _Usage | None = None


_EVENT = msgspec.json.Decoder(_Event)
_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)


@dataclass(slots=True)
class _Calling:
    """A tool call that is being put together."""

    id: str = ""
    name: list[str] = dataclasses.field(default_factory=list)
    arguments: list[str] = dataclasses.field(default_factory=list)


class Translator:
    """One streamed answer. `started` and every `now` are seconds of one monotonic clock."""

    def __init__(
        self,
        kind: TaskType,
        model: str,
        created_at: datetime,
        started: float,
        limit: int = MAX_ANSWER,
    ) -> None:
        self._allowance = AnswerLimit(limit)
        self._chat = kind is TaskType.CHAT
        self._head = {"model": model, "created_at": created_at}
        self._started = started
        self._first: float | None = None
        self._reason: str | None = None
        self._usage: _Usage | None = None
        self._timings: _Timings | None = None
        self._calls: dict[int, _Calling] = {}

    def chunks(self, data: bytes, now: float) -> list[bytes]:
        """The chunks, in Ollama's form, that one event's data makes; often one, or none.

        BackendFailure if it is an error, or nothing that such a server sends.
        """
        event = decode_answer(_EVENT.decode, data)
        if event.states_error():
            text = f"the backend broke off with an error: {error_text(data)}"
            raise BackendFailure(text, body=data)
        self._usage = event.usage or self._usage
        self._timings = event.timings or self._timings
        chunks = []
        for choice in event.choices:
            if choice.index == 0:
                chunks += self._said(choice, now)
        return chunks

    def ending(self, now: float, *, marked: bool) -> list[bytes]:
        """The last chunks: the tool calls, if there are any, and the one with done.

        `marked` says whether the stream said [DONE]. BackendFailure if it ended neither with that
        nor with a finish_reason.
        """
        if self._reason is None and not marked:
            raise BackendFailure("the stream ended before done")
        chunks = []
        if self._calls:
            calls = [self._finished(call) for _, call in sorted(self._calls.items())]
            chunks.append(self._chunk({"tool_calls": calls}))
        # Ollama says "stop" when the model stops to call a tool.
        reason = "stop" if self._reason in (None, "tool_calls") else self._reason
        chunks.append(
            self._chunk({}, more={"done": True, "done_reason": reason} | self._counts(now))
        )
        return chunks

    def _said(self, choice: _Choice, now: float) -> list[bytes]:
        self._reason = choice.finish_reason or self._reason
        delta = choice.delta
        for position, call in enumerate(delta.tool_calls or ()):
            self._collect(call, position)
        text = choice.text if delta.content is None else delta.content
        thinking = delta.reasoning_content or delta.reasoning
        logprobs = choice.logprobs.content if choice.logprobs else None
        if not text and not thinking and not logprobs:
            return []
        self._first = now if self._first is None else self._first
        more: dict[str, object] = {"logprobs": logprobs} if logprobs else {}
        return [self._chunk({"thinking": thinking} if thinking else {}, text or "", more)]

    def _chunk(
        self, said: dict[str, Any], text: str = "", more: dict[str, object] | None = None
    ) -> bytes:
        fields: dict[str, object] = dict(self._head)
        if self._chat:
            fields["message"] = {"role": "assistant", "content": text, **said}
        else:
            fields |= {"response": text, **said}
        return msgspec.json.encode(fields | {"done": False} | (more or {}))

    def _collect(self, call: _Call, position: int) -> None:
        index = position if call.index is None else call.index
        calling = self._calls.setdefault(index, _Calling())
        if len(self._calls) > MAX_TOOL_CALLS:
            raise BackendFailure(f"the answer has more than {MAX_TOOL_CALLS} tool calls")
        calling.id = call.id or calling.id
        calling.name.append(call.function.name or "")
        arguments = call.function.arguments
        if isinstance(arguments, dict):  # some servers send the object itself
            arguments = msgspec.json.encode(arguments).decode()
        calling.arguments.append(arguments or "")

    def _finished(self, call: _Calling) -> dict[str, object]:
        name, text = "".join(call.name), "".join(call.arguments).encode()
        self._allowance.take(text)  # as a text it was one value, now it is decoded
        try:
            arguments = msgspec.json.decode(text or b"{}", type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            raise BackendFailure(
                f"the model called {name!r} with arguments that are no JSON object: {quoted(text)}"
            ) from None
        function = {"name": name, "arguments": arguments}
        return {"id": call.id, "function": function} if call.id else {"function": function}

    def _counts(self, now: float) -> dict[str, object]:
        first = now if self._first is None else self._first
        timings = self._timings or _Timings()
        prompt_ms, predicted_ms = timings.prompt_ms, timings.predicted_ms
        counts: dict[str, object] = {
            "total_duration": _nanoseconds(now - self._started),
            "load_duration": 0,
            "prompt_eval_duration": _nanoseconds(
                first - self._started if prompt_ms is None else prompt_ms / 1000
            ),
            "eval_duration": _nanoseconds(
                now - first if predicted_ms is None else predicted_ms / 1000
            ),
        }
        if self._usage is not None:
            counts["prompt_eval_count"] = self._usage.prompt_tokens or 0
            counts["eval_count"] = self._usage.completion_tokens or 0
        return counts


def ollama_embeddings(body: bytes, model: str, seconds: float) -> bytes:
    """The answer to /v1/embeddings as /api/embed gives it; each number stays as it was sent."""
    answer = decode_answer(_EMBEDDINGS.decode, body)
    fields: dict[str, object] = {
        "model": model,
        "embeddings": [e.embedding for e in sorted(answer.data, key=lambda each: each.index)],
        "total_duration": _nanoseconds(seconds),
        "load_duration": 0,
    }
    if answer.usage is not None:
        fields["prompt_eval_count"] = answer.usage.prompt_tokens or 0
    return msgspec.json.encode(fields)


def _nanoseconds(seconds: float) -> int:
    return round(max(0.0, seconds) * 1e9)
