"""Lists of models, in the forms in which servers send them. What they say wrongly is passed over:
a list is for people to look at.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from oq.words.errors import BackendFailure
from oq.words.from_json import NOT_READ
from oq.words.views import Model

T = TypeVar("T")


class _Details(Struct, frozen=True):
    parameter_size: str | None = None
    quantization_level: str | None = None


class _OllamaModel(Struct):
    name: str
    size: int | None = None
    expires_at: datetime | None = None
    details: _Details = _Details()
    digest: Any = None


class _OllamaList(Struct):
    models: list[_OllamaModel] | None = None


class _OpenAIModel(Struct):
    id: str


class _OpenAIList(Struct):
    data: list[_OpenAIModel] | None = None


def ollama_models(body: bytes) -> tuple[Model, ...]:
    """What Ollama answers to ``/api/tags`` and ``/api/ps``; BackendFailure if it is no list."""
    return tuple(
        Model(
            name=model.name,
            size=model.size or None,
            parameters=model.details.parameter_size,
            quantization=model.details.quantization_level,
            expires_at=model.expires_at,
        )
        for model in _decoded(body, _OllamaList).models or ()
    )


def ollama_digests(body: bytes) -> dict[str, str]:
    """The names in such a list, in its order, with their digests; "" if it does not say one."""
    models = _decoded(body, _OllamaList).models or ()
    return {each.name: each.digest if isinstance(each.digest, str) else "" for each in models}


def openai_models(body: bytes) -> tuple[Model, ...]:
    """What a server answers to ``/v1/models``; BackendFailure if it is no list."""
    return tuple(Model(name=model.id) for model in _decoded(body, _OpenAIList).data or ())


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except NOT_READ as error:
        raise BackendFailure(f"its list of models cannot be read: {error}") from None
