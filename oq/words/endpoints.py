"""The endpoints of Ollama's and OpenAI's APIs whose requests run as tasks."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from oq.words.task import TaskType


class Dialect(StrEnum):
    """Whose API an endpoint belongs to. It decides how answers stream and how errors look."""

    OLLAMA = "ollama"
    OPENAI = "openai"


class Endpoint(Struct, frozen=True):
    """One endpoint. `streams`: whether it streams by default; None: it never streams."""

    path: str
    type: TaskType
    dialect: Dialect
    streams: bool | None


ENDPOINTS = {
    each.path: each
    for each in (
        Endpoint("/api/chat", TaskType.CHAT, Dialect.OLLAMA, True),
        Endpoint("/api/generate", TaskType.GENERATE, Dialect.OLLAMA, True),
        Endpoint("/api/embed", TaskType.EMBED, Dialect.OLLAMA, None),
        Endpoint("/api/embeddings", TaskType.EMBED, Dialect.OLLAMA, None),
        Endpoint("/v1/chat/completions", TaskType.CHAT, Dialect.OPENAI, False),
        Endpoint("/v1/completions", TaskType.GENERATE, Dialect.OPENAI, False),
        Endpoint("/v1/embeddings", TaskType.EMBED, Dialect.OPENAI, None),
    )
}
"""By path."""
