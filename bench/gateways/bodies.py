"""The calls that are made: a chat with one message of 400 bytes, in each of the two APIs."""

from __future__ import annotations

import msgspec

from bench.payload import PROMPT

CHAT = "/api/chat"
COMPLETIONS = "/v1/chat/completions"
EMBED = "/api/embed"

_CHAT = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}


def call(path: str) -> str:
    """A call whose answer comes whole."""
    if path == EMBED:
        return _text({"model": "m", "input": PROMPT})
    return _text({**_CHAT, "stream": False})


def stream(path: str, chunks: int) -> str:
    """A call whose answer is a stream of so many chunks."""
    more = {"max_tokens": chunks} if path == COMPLETIONS else {"options": {"num_predict": chunks}}
    return _text({**_CHAT, "stream": True, **more})


def _text(document: object) -> str:
    return msgspec.json.encode(document).decode()
