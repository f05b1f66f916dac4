"""Calls, and what their callers see: when tokens come, and what the server says of its own time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import trio

SILENCE = 180.0
"""Seconds without a byte after which a call has failed. llama.cpp's router was seen to answer none
of nine calls for four models any more, which were sent to it directly."""
PROMPT = "Write a very long story about the sea, with many chapters."


@dataclass
class Call:
    """A call as its caller saw it. Times are trio's, in seconds."""

    model: str
    name: str = ""
    priority: str = ""
    sent: float = field(default_factory=trio.current_time)
    first: float | None = None
    """When the first token came."""
    ended: float = 0.0
    status: int = 0
    error: str = ""
    tokens: int = 0
    waited: float | None = None
    """Seconds inside the server before it was begun; None if the server does not say."""
    load: float | None = None
    """Seconds of its load, and of what that waited for."""
    task: str = ""
    """The id of its task, if it went through oq."""

    @property
    def answered(self) -> bool:
        """Whether it got all that it asked for."""
        return self.status == 200 and not self.error and self.first is not None

    @property
    def first_after(self) -> float:
        """Seconds from when it was sent to its first token; infinite if none came."""
        return self.first - self.sent if self.first is not None else float("inf")

    @property
    def seconds(self) -> float:
        """From when it was sent to its end."""
        return self.ended - self.sent


class Caller:
    """Makes calls at one address: those of Ollama's API, or else of OpenAI's."""

    def __init__(self, http: httpx.AsyncClient, *, ollama: bool) -> None:
        self.http = http
        self._ollama = ollama

    async def call(
        self,
        model: str,
        tokens: int,
        *,
        name: str = "",
        priority: str = "",
        options: Mapping[str, Any] | None = None,
        path: str | None = None,
    ) -> Call:
        """Make one call that streams, and read it to its end. What goes wrong is in its `error`."""
        path = path or ("/api/generate" if self._ollama else "/v1/chat/completions")
        body = _body(path, model, tokens, options or {})
        headers = {"X-OQ-Priority": priority} if priority else {}
        call = Call(model, name or model, priority)
        try:
            async with self.http.stream("POST", path, json=body, headers=headers) as answer:
                call.status = answer.status_code
                call.task = answer.headers.get("X-OQ-Task-ID", "")
                async for line in answer.aiter_lines():
                    _note(call, line)
        except httpx.TransportError as error:
            call.error = repr(error)
        call.ended = trio.current_time()
        return call


def _body(path: str, model: str, tokens: int, options: Mapping[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": PROMPT}]
    if path.startswith("/v1/"):
        return {
            "model": model, "messages": messages, "stream": True, "max_tokens": tokens,
            "temperature": 0, "seed": 1, "ignore_eos": True, **options,
        }  # fmt: skip
    settings = {"num_predict": tokens, "temperature": 0, "seed": 1, **options}
    asked = {"messages": messages} if path == "/api/chat" else {"prompt": PROMPT}
    return {"model": model, "stream": True, "options": settings, **asked}


def _note(call: Call, line: str) -> None:
    """What one line of the answer says."""
    text = line.removeprefix("data: ")
    if not text.startswith("{"):
        return
    said = json.loads(text)
    if "error" in said:
        call.error = text
    elif _content(said):
        call.tokens += 1
        if call.first is None:
            call.first = trio.current_time()
    if "total_duration" in said:
        spent = [said.get(f"{part}_duration", 0) for part in ("load", "prompt_eval", "eval")]
        call.waited = (said["total_duration"] - sum(spent)) / 1e9
        call.load = spent[0] / 1e9
        call.tokens = said.get("eval_count", 0)


def _content(said: dict[str, Any]) -> object:
    for choice in said.get("choices", ()):
        return choice.get("delta", {}).get("content")
    return said.get("response") or said.get("message", {}).get("content")


@asynccontextmanager
async def caller(url: str, *, ollama: bool) -> AsyncIterator[Caller]:
    """For as many calls at once as are wanted, each on a connection of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(
        base_url=url, timeout=SILENCE, limits=limits, trust_env=False
    ) as http:
        yield Caller(http, ollama=ollama)
