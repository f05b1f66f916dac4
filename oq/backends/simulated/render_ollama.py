"""Answers in the form in which Ollama gives them: https://github.com/ollama/ollama/blob/main/docs/api.md"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from oq.backends.simulated.ask import Ask
from oq.backends.simulated.pieces import Ending, Piece
from oq.backends.simulated.script import ScriptedCall
from oq.backends.simulated.spent import Spent
from oq.backends.simulated.text import DIMENSIONS, embedding, with_logprob
from oq.words.task import TaskType


class _Said(NamedTuple):
    text: str
    thinking: str
    calls: tuple[ScriptedCall, ...]


class OllamaLines:
    """The lines of one chat or generate answer."""

    def __init__(self, ask: Ask, created_at: datetime, spent: Spent) -> None:
        self._ask = ask
        self._head = {"model": ask.model, "created_at": created_at}
        self._spent = spent

    def line(self, piece: Piece, elapsed: float) -> bytes:
        """The line for one piece, `elapsed` seconds after the request; for no fault."""
        said = _Said(piece.text, piece.thinking, piece.calls)
        return msgspec.json.encode(self._fields(said, [piece], piece.ending, elapsed))

    def whole(self, pieces: list[Piece], elapsed: float) -> bytes:
        """The answer to a call that does not stream."""
        said = _Said(
            "".join(piece.text for piece in pieces),
            "".join(piece.thinking for piece in pieces),
            tuple(call for piece in pieces for call in piece.calls),
        )
        return msgspec.json.encode(self._fields(said, pieces, pieces[-1].ending, elapsed))

    def _fields(
        self, said: _Said, pieces: list[Piece], ending: Ending | None, elapsed: float
    ) -> dict[str, Any]:
        fields: dict[str, Any] = dict(self._head)
        if self._ask.kind is TaskType.CHAT:
            fields["message"] = _message(said)
        else:
            fields["response"] = said.text
            if said.thinking:
                fields["thinking"] = said.thinking
        fields["done"] = ending is not None
        if ending is not None:
            fields["done_reason"] = ending.reason
            if ending.reason not in ("load", "unload"):
                fields |= self._counts(ending.tokens, elapsed)
        texts = [piece.text for piece in pieces if piece.text]
        if self._ask.logprobs is not None and texts:
            fields["logprobs"] = [with_logprob(text, self._ask.logprobs) for text in texts]
        return fields

    def _counts(self, tokens: int, elapsed: float) -> dict[str, object]:
        counts: dict[str, object] = {
            "total_duration": nanoseconds(elapsed),
            "load_duration": nanoseconds(self._spent.load),
            "prompt_eval_count": self._ask.prompt_tokens,
            "prompt_eval_duration": nanoseconds(self._spent.prompt),
            "eval_count": tokens,
            "eval_duration": nanoseconds(self._spent.generating(elapsed)),
        }
        if self._ask.kind is TaskType.GENERATE:
            counts = {"context": list(range(1, self._ask.prompt_tokens + tokens + 1)), **counts}
        return counts


def embed_answer(ask: Ask, elapsed: float, load: float) -> bytes:
    """The answer of /api/embed."""
    if ask.load:
        return msgspec.json.encode({"model": ask.model, "embeddings": []})
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


def rendered(ask: Ask, created_at: datetime) -> bytes:
    """The answer to a call with `_debug_render_only`: the prompt as the model would get it."""
    said: dict[str, Any] = {"response": ""}
    if ask.kind is TaskType.CHAT:
        said = {"message": {"role": "", "content": ""}}
    debug = {"rendered_template": f"{ask.prompt}\n"}
    head = {"model": ask.model, "created_at": created_at}
    return msgspec.json.encode({**head, **said, "done": False, "_debug_info": debug})


def nanoseconds(seconds: float) -> int:
    return round(max(0.0, seconds) * 1e9)


def _message(said: _Said) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": said.text}
    if said.thinking:
        message["thinking"] = said.thinking
    if said.calls:
        message["tool_calls"] = [
            {"function": {"name": call.name, "arguments": call.arguments}} for call in said.calls
        ]
    return message
