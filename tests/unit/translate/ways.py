"""The four translations, and answers of servers to try them with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from oq.dialects import ENDPOINTS
from oq.dialects.ollama import OLLAMA
from oq.dialects.openai import OPENAI
from oq.dialects.translate import Translated, translation

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
FORMS = {"chat": (OPENAI,), "ollama": (OLLAMA, OPENAI)}


def translated(path: str, form: str, **body: Any) -> Translated:
    """A request to `path`, translated for servers that speak `form`."""
    least = {"input": "?"} if path == RESPONSES else {"messages": [], "max_tokens": 9}
    how = translation(ENDPOINTS[path], FORMS[form])
    assert how is not None
    return how.request(json.dumps({"model": "m", **least, **body}).encode())


def sent(path: str, form: str, **body: Any) -> Any:
    """What a server gets of it."""
    return json.loads(translated(path, form, **body).body)


def events(*chunks: Any, done: bool = True) -> bytes:
    """Chunks of chat completions as a server streams them."""
    frames = [b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks]
    return b"".join([*frames, b"data: [DONE]\n\n" if done else b""])


def lines(*chunks: Any) -> bytes:
    """Chunks of Ollama's as it streams them."""
    return b"".join(json.dumps(chunk).encode() + b"\n" for chunk in chunks)


def delta(reason: str | None = None, /, **said: Any) -> Any:
    """A chunk of chat completions."""
    return {"choices": [{"index": 0, "delta": said, "finish_reason": reason}]}


def usage(prompt: int, completion: int, cached: int = 0, thoughts: int = 0) -> Any:
    """Its last chunk, with the counts."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    counts["prompt_tokens_details"] = {"cached_tokens": cached}
    counts["completion_tokens_details"] = {"reasoning_tokens": thoughts}
    return {"choices": [], "usage": counts}


def call(index: int, call_id: str | None, name: str | None, arguments: str) -> Any:
    """A chunk of chat completions with a part of a call."""
    function = {"name": name, "arguments": arguments}
    one = {"index": index, "id": call_id, "function": function}
    function = {key: value for key, value in function.items() if value is not None}
    one = {key: value for key, value in one.items() if value is not None} | {"function": function}
    return delta(tool_calls=[one])


def said(reason: str | None = None, /, **message: Any) -> Any:
    """A chunk of Ollama's; with a reason it is the last one."""
    chunk: dict[str, Any] = {"model": "m", "message": {"role": "assistant", "content": ""}}
    chunk["message"] |= message
    end = {"done_reason": reason, "prompt_eval_count": 3, "eval_count": 2} if reason else {}
    return {**chunk, "done": reason is not None, **end}


EVERYTHING = {
    "chat": events(
        delta(role="assistant", content=""),
        delta(reasoning_content="Hm"),
        delta(reasoning_content="."),
        delta(content="Pa"),
        delta(content="ris"),
        call(0, "call_a", "f", ""),
        call(0, None, None, '{"a":'),
        call(0, None, None, " 1}"),
        call(1, "call_b", "g", "{}"),
        delta("tool_calls"),
        usage(30, 20, 10, 5),
    ),
    "ollama": lines(
        said(thinking="Hm"),
        said(thinking="."),
        said(content="Pa"),
        said(content="ris"),
        said(tool_calls=[{"id": "call_a", "function": {"name": "f", "arguments": {"a": 1}}}]),
        said(tool_calls=[{"function": {"name": "g", "arguments": {}}}]),
        said("stop"),
    ),
}
"""A thought, a text and two calls."""
PLAIN = {
    "chat": events(delta(content="Pa"), delta(content="ris"), delta("stop"), usage(3, 2)),
    "ollama": lines(said(content="Pa"), said(content="ris"), said("stop")),
}


def told(how: Translated, stream: bytes, cuts: Iterable[int] = ()) -> list[bytes]:
    """The frames that the caller gets of this stream, cut at these places."""
    translating = how.stream("x1", NOW)
    places = [0, *sorted(cuts), len(stream)]
    frames: list[bytes] = []
    for begin, end in pairwise(places):
        frames += translating.feed(stream[begin:end])
    return [*frames, *translating.end()]


def data(frame: bytes) -> Any:
    """The data of an event, whose name is that of its type."""
    name, _, rest = frame.partition(b"\n")
    said = json.loads(rest.removeprefix(b"data: "))
    assert frame.endswith(b"\n\n")
    assert name.decode() == f"event: {said['type']}"
    return said
