"""Which conversation a call is a part of, where there are several backends."""

from __future__ import annotations

from typing import Any

import pytest

from oq.rules.conversations import conversation_in, conversation_of
from tests.support.gateway import Site
from tests.support.several import fleet

CHAT = {"model": "m", "stream": False, "messages": [{"role": "user", "content": "hello"}]}


async def conversation(here: Site, path: str, body: dict[str, Any], **headers: str) -> int:
    answer = await here.oq.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    state = await here.queue._core.ledger.state(answer.headers["X-OQ-Task-ID"])
    return state.terms.conversation


async def test_the_header_names_it_and_stays_here():
    async with fleet(["m"], ["m"]) as (here, simulators):
        for path in ("/api/chat", "/v1/chat/completions"):
            named = await conversation(here, path, CHAT, **{"X-OQ-Session": "s"})
            assert named == conversation_of([(b"x-oq-session", b"s")], b"")
            sent = [call for one in simulators for call in one.asked(path)]
            assert sent
            assert all(b"x-oq-session" not in dict(call.headers) for call in sent)
        generate = {"model": "m", "prompt": "hello", "stream": False}
        assert await conversation(here, "/api/generate", generate, **{"Session-Id": "s"}) == named


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
async def test_else_the_first_messages_do(path):
    async with fleet(["m"], ["m"]) as (here, _):
        body = {**CHAT, "max_tokens": 9}
        assert await conversation(here, path, body) == conversation_in(
            b'{"messages":[{"role":"user","content":"hello"}]}'
        )


async def test_an_embedding_is_of_none_nor_is_anything_where_there_is_one_backend():
    session = {"X-OQ-Session": "s"}
    async with fleet(["m", "embed"], ["m"]) as (here, _):
        embed = {"model": "embed", "input": "hello"}
        assert await conversation(here, "/api/embed", embed, **session) == 0
    async with fleet(["m"]) as (here, _):
        assert await conversation(here, "/api/chat", CHAT, **session) == 0
