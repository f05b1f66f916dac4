"""Answers in the form in which Ollama gives them: https://github.com/ollama/ollama/blob/main/docs/api.md"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.simulator import Piece
from oq.backends.simulated.text import DIMENSIONS, embedding, with_logprob
from oq.words.task import TaskType


class OllamaLines:
    """The lines of one chat or generate answer. `load` is what loading took, in seconds."""

    def __init__(self, ask: Ask, created_at: datetime, load: float) -> None:
        self._ask = ask
        self._head = {"model": ask.model, "created_at": created_at}
        self._load = load

    def line(self, piece: Piece, elapsed: float) -> bytes:
        """The line for one piece, `elapsed` seconds after the request; for no fault."""
        fields: dict[str, Any] = dict(self._head)
        if self._ask.kind is TaskType.CHAT:
            fields["message"] = _message(piece)
        else:
            fields["response"] = piece.text
            if piece.thinking:
                fields["thinking"] = piece.thinking
        fields["done"] = piece.ending is not None
        if self._ask.logprobs is not None and piece.text:
            fields["logprobs"] = [with_logprob(piece.text, self._ask.logprobs)]
        if piece.ending is not None:
            fields["done_reason"] = piece.ending.reason
            if piece.ending.reason not in ("load", "unload"):
                fields |= self._counts(piece.ending.tokens, elapsed)
        return msgspec.json.encode(fields)

    def _counts(self, tokens: int, elapsed: float) -> dict[str, object]:
        running = elapsed - self._load
        counts: dict[str, object] = {
            "total_duration": nanoseconds(elapsed),
            "load_duration": nanoseconds(self._load),
            "prompt_eval_count": self._ask.prompt_tokens,
            "prompt_eval_duration": nanoseconds(running / 4),
            "eval_count": tokens,
            "eval_duration": nanoseconds(running * 3 / 4),
        }
        if self._ask.kind is TaskType.GENERATE:
            counts = {"context": list(range(1, self._ask.prompt_tokens + tokens + 1)), **counts}
        return counts


def embed_answer(ask: Ask, elapsed: float, load: float) -> bytes:
    """The answer of /api/embed."""
    dimensions = ask.dimensions or DIMENSIONS
    return msgspec.json.encode(
        {
            "model": ask.model,
            "embeddings": [embedding(text, dimensions) for text in ask.texts],
            "total_duration": nanoseconds(elapsed),
            "load_duration": nanoseconds(load),
            "prompt_eval_count": ask.prompt_tokens,
        }
    )


def nanoseconds(seconds: float) -> int:
    return round(max(0.0, seconds) * 1e9)


def _message(piece: Piece) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": piece.text}
    if piece.thinking:
        message["thinking"] = piece.thinking
    if piece.calls:
        message["tool_calls"] = [
            {"function": {"name": call.name, "arguments": call.arguments}} for call in piece.calls
        ]
    return message
