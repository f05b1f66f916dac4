"""The calls of Ollama's and OpenAI's APIs that are taken as they are, and run as tasks."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from oq.words.task import TaskType


class Dialect(StrEnum):
    """Whose API a call belongs to: how it streams, and how it says an error."""

    OLLAMA = "ollama"
    OPENAI = "openai"


class Call(Struct, frozen=True):
    """One call. `streams` is what it does when its body does not say; None: it never does."""

    path: str
    type: TaskType
    dialect: Dialect
    streams: bool | None


CALLS = {
    call.path: call
    for call in (
        Call("/api/chat", TaskType.CHAT, Dialect.OLLAMA, True),
        Call("/api/generate", TaskType.GENERATE, Dialect.OLLAMA, True),
        Call("/api/embed", TaskType.EMBED, Dialect.OLLAMA, None),
        Call("/api/embeddings", TaskType.EMBED, Dialect.OLLAMA, None),
        Call("/v1/chat/completions", TaskType.CHAT, Dialect.OPENAI, False),
        Call("/v1/completions", TaskType.GENERATE, Dialect.OPENAI, False),
        Call("/v1/embeddings", TaskType.EMBED, Dialect.OPENAI, None),
    )
}
"""By path."""
