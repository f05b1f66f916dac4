"""Encodes answers for HTTP in two forms: Ollama's NDJSON and OpenAI's SSE."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.forms import (
    KILLED,
    NO_FIELDS,
    OLLAMA_JSON,
    ollama_error,
    openai_error,
)
from oq.backends.simulated.pieces import Piece, reason_of
from oq.backends.simulated.render_ollama import OllamaLines, embed_answer, rendered
from oq.backends.simulated.script import ScriptedCall
from oq.backends.simulated.spent import Spent
from oq.backends.simulated.text import DIMENSIONS, embedding, with_logprob
from oq.words.task import TaskType

OLLAMA_FINGERPRINT = "fp_ollama"


class AnswerEncoder(Protocol):
    """Encodes one answer. `elapsed` is in seconds since the request came."""

    @property
    def content_type(self) -> str:
        """Of a streamed answer."""
        ...

    @property
    def whole_type(self) -> str:
        """Of an answer that does not stream."""
        ...

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        """A piece of a stream that is no fault, framed."""
        ...

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        """An error in mid-stream, framed. `fields` are further ones of it."""
        ...

    def killed(self) -> bytes:
        """The end of a stream whose model has died, framed."""
        ...

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        """The answer to a call that does not stream."""
        ...


class OllamaEncoder:
    """https://github.com/ollama/ollama/blob/main/docs/api.md"""

    content_type = "application/x-ndjson"
    whole_type = OLLAMA_JSON

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        self._ask = ask
        self._spent = spent
        self._created_at = created_at
        self._lines = OllamaLines(ask, created_at, spent)

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        return self._lines.line(piece, elapsed) + b"\n"

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        return ollama_error(500, message, fields) + b"\n"

    def killed(self) -> bytes:
        return self.error(KILLED)

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        if self._ask.kind is TaskType.EMBED:
            return embed_answer(self._ask, elapsed, self._spent.load)
        if self._ask.render_only:
            return rendered(self._ask, self._created_at)
        return self._lines.whole(said, elapsed)


class LegacyEmbeddingEncoder(OllamaEncoder):
    """/api/embeddings, which came before /api/embed and gives one vector."""

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        vectors = [embedding(text, self._ask.dimensions or DIMENSIONS) for text in self._ask.texts]
        return msgspec.json.encode({"embedding": vectors[0] if vectors else []})


class OpenAIEncoder:
    """https://platform.openai.com/docs/api-reference/chat/streaming, as Ollama and llama.cpp give
    it: a thought is in `reasoning_content`, a tool call's arguments come in more than one piece.
    """

    content_type = "text/event-stream"
    whole_type = "application/json"

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        self._ask = ask
        self._chat = ask.kind is TaskType.CHAT
        name = "chat.completion" if self._chat else "text_completion"
        self._head = {"id": f"{'chatcmpl' if self._chat else 'cmpl'}-simulated", "object": name}
        self._about = {
            "created": int(created_at.timestamp()),
            "model": ask.model,
            "system_fingerprint": OLLAMA_FINGERPRINT,
        }
        self._called: set[int] = set()

    def piece(self, piece: Piece, elapsed: float) -> bytes:
        number = piece.choice
        if piece.ending is not None:
            reason = "tool_calls" if number in self._called else piece.ending.reason
            end = self._event(self._choice(number, {}, reason))
            if not piece.ending.last:
                return end
            if self._ask.usage:
                end += self._event(None, usage=self._usage(piece.ending.tokens))
            return end + b"data: [DONE]\n\n"
        if piece.calls:
            self._called.add(number)
            deltas = [d for i, call in enumerate(piece.calls) for d in _call_deltas(i, call)]
            return b"".join(
                self._event(self._choice(number, {"tool_calls": [delta]}, None)) for delta in deltas
            )
        key = "reasoning_content" if piece.thinking else "content"
        delta = {"role": "assistant", key: piece.thinking or piece.text}
        return self._event(self._choice(number, delta, None) | self._logprobs([piece]))

    def error(self, message: str, fields: Mapping[str, Any] = NO_FIELDS) -> bytes:
        return b"data: " + openai_error(500, message, fields) + b"\n\n"

    def killed(self) -> bytes:
        """Ollama takes its own error for a piece, in which it finds nothing."""
        self._about["model"] = ""
        return self._event(self._choice(0, {"content": ""}, None))

    def whole(self, said: list[Piece], elapsed: float) -> bytes:
        if self._ask.kind is TaskType.EMBED:
            return self._embeddings()
        ends = [piece for piece in said if piece.ending is not None]
        choices = [self._whole_choice(end, said) for end in ends]
        tokens = ends[-1].ending.tokens if ends[-1].ending is not None else 0
        return msgspec.json.encode(
            {**self._head, **self._about, "choices": choices, "usage": self._usage(tokens)}
        )

    def _whole_choice(self, end: Piece, said: list[Piece]) -> dict[str, Any]:
        said = [piece for piece in said if piece.choice == end.choice]
        text = "".join(piece.text for piece in said)
        choice: dict[str, Any] = {"index": end.choice, "finish_reason": reason_of(end)}
        if not self._chat:
            return choice | {"text": text} | self._logprobs(said)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        thinking = "".join(piece.thinking for piece in said)
        if thinking:
            message["reasoning_content"] = thinking
        calls = [call for piece in said for call in piece.calls]
        if calls:
            message["tool_calls"] = [_call(i, call) for i, call in enumerate(calls)]
            choice["finish_reason"] = "tool_calls"
        return choice | {"message": message} | self._logprobs(said)

    def _choice(self, number: int, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        said = {"delta": delta} if self._chat else {"text": delta.get("content", "")}
        return {"index": number, **said, "finish_reason": reason}

    def _logprobs(self, said: list[Piece]) -> dict[str, Any]:
        wanted = self._ask.logprobs
        if wanted is None:
            return {}
        tokens = [with_logprob(piece.text, wanted) for piece in said if piece.text]
        # The alternatives are never left out in this form.
        content = [{"top_logprobs": []} | token for token in tokens]
        return {"logprobs": {"content": content}}

    def _event(self, choice: dict[str, Any] | None, **more: object) -> bytes:
        head = {**self._head, **self._about}
        if self._chat:
            head["object"] = "chat.completion.chunk"
        fields = {**head, "choices": [choice] if choice else [], **more}
        return b"data: " + msgspec.json.encode(fields) + b"\n\n"

    def _usage(self, tokens: int) -> dict[str, int]:
        prompt = self._ask.prompt_tokens
        total = prompt + tokens
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": total}

    def _embeddings(self) -> bytes:
        dimensions = self._ask.dimensions or DIMENSIONS
        vectors = (embedding(text, dimensions) for text in self._ask.texts)
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": _base64(vector) if self._ask.base64 else vector,
            }
            for index, vector in enumerate(vectors)
        ]
        tokens = self._ask.prompt_tokens
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return msgspec.json.encode(
            {"object": "list", "data": data, "model": self._ask.model, "usage": usage}
        )


def _base64(vector: list[float]) -> str:
    """Its numbers as 32-bit floats, the little end first."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _call(index: int, call: ScriptedCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.arguments).decode()
    function = {"name": call.name, "arguments": arguments}
    return {"index": index, "id": f"call_{index}", "type": "function", "function": function}


def _call_deltas(index: int, call: ScriptedCall) -> list[dict[str, Any]]:
    """A call in two pieces: name and half of the arguments, then the other half."""
    whole = _call(index, call)
    arguments = whole["function"]["arguments"]
    half = len(arguments) // 2
    whole["function"]["arguments"] = arguments[:half]
    return [whole, {"index": index, "function": {"arguments": arguments[half:]}}]
