"""A call that a backend cannot run is refused in the words of its own API, and never sent."""

from __future__ import annotations

import json

import pytest

from oq.backends import openai
from oq.backends.base import Request
from oq.backends.ollama import OllamaBackend
from oq.backends.openai import OpenAIBackend
from oq.backends.simulated import SimulatedBackend
from oq.backends.simulated.running import RUNS
from oq.dialects import ENDPOINTS
from oq.words.errors import BackendRejected

NOBODY = "127.0.0.1:9"


def ignore(chunk: bytes) -> None:
    """An emit."""


async def refusal(backend, path: str) -> BackendRejected:
    call = ENDPOINTS.get(path)
    kind = ENDPOINTS["/api/chat"].type if call is None else call.type
    with pytest.raises(BackendRejected) as caught:
        await backend.run(Request(kind, "m", b'{"model":"m"}', b"{}", path), ignore)
    await backend.aclose()
    return caught.value


BACKENDS = [
    lambda: OllamaBackend("gpu", NOBODY),
    lambda: OpenAIBackend("gpu", NOBODY),
    lambda: SimulatedBackend("gpu"),
]


@pytest.mark.parametrize("make", BACKENDS)
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/api/embed"])
async def test_what_nobody_there_speaks(make, path, monkeypatch):
    backend = make()
    monkeypatch.setattr(type(backend), "speaks", ())
    monkeypatch.setattr(openai, "_TRANSLATED", {})
    monkeypatch.delitem(RUNS, path)
    error = await refusal(backend, path)
    said = f"backend 'gpu' (of kind {backend.kind}) has no {path}: it does not speak the API of "
    assert str(error).startswith(said)
    assert error.status == 404
    assert error.body == ENDPOINTS[path].dialect.error(404, str(error))
    assert "error" in json.loads(error.body)


@pytest.mark.parametrize("make", BACKENDS)
async def test_a_call_of_a_newer_version(make):
    """Its task is on a disk that an older oq has opened."""
    error = await refusal(make(), "/v2/chat")
    assert str(error) == "/v2/chat: this version of oq does not know this call"
