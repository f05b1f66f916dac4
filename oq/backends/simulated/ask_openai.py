"""A request that came by the OpenAI form: https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from oq.backends.simulated.ask import (
    Ask,
    Message,
    Refused,
    alternatives,
    decode,
    last_said,
    script_of,
    words_in,
)
from oq.words.task import TaskType


class _StreamOptions(Struct):
    include_usage: bool = False


class _Request(Struct):
    """What all three calls have in common. `simulate` is the simulator's own."""

    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    tools: list[Any] | None = None
    simulate: dict[str, Any] | None = None


class _Chat(_Request, kw_only=True):
    messages: list[Message]
    logprobs: bool | None = None
    top_logprobs: int | None = None


class _Completion(_Request, kw_only=True):
    prompt: str


class _Embeddings(_Request, kw_only=True):
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: str | None = None


_CHAT = msgspec.json.Decoder(_Chat)
_COMPLETION = msgspec.json.Decoder(_Completion)
_EMBEDDINGS = msgspec.json.Decoder(_Embeddings)


def ask_openai(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to one of the /v1 calls asks; Refused if it is wrong."""
    if not body:
        raise Refused(400, "you must provide a request body")
    match kind:
        case TaskType.CHAT:
            chat = decode(_CHAT.decode, body)
            wanted = alternatives(chat.logprobs, chat.top_logprobs)
            return _ask(kind, chat, last_said(chat.messages), words_in(chat.messages), wanted)
        case TaskType.GENERATE:
            completion = decode(_COMPLETION.decode, body)
            prompt = completion.prompt
            return _ask(kind, completion, prompt, len(prompt.split()))
        case TaskType.EMBED:
            return _embeddings(decode(_EMBEDDINGS.decode, body))


def _ask(
    kind: TaskType,
    request: _Request,
    prompt: str,
    prompt_tokens: int,
    logprobs: int | None = None,
) -> Ask:
    limit = request.max_completion_tokens or request.max_tokens
    return Ask(
        kind=kind,
        model=_named(request),
        prompt=prompt,
        prompt_tokens=prompt_tokens,
        stream=bool(request.stream),
        options={} if limit is None else {"num_predict": limit},
        format=_format(request.response_format or {}),
        think=request.reasoning_effort not in (None, "none"),
        tools=bool(request.tools),
        logprobs=logprobs,
        usage=request.stream_options is not None and request.stream_options.include_usage,
        script=script_of(request.simulate),
    )


def _embeddings(request: _Embeddings) -> Ask:
    texts = [request.input] if isinstance(request.input, str) else request.input
    return Ask(
        kind=TaskType.EMBED,
        model=_named(request),
        texts=tuple(texts),
        prompt_tokens=sum(len(text.split()) for text in texts),
        stream=False,
        dimensions=request.dimensions,
        base64=request.encoding_format == "base64",
        script=script_of(request.simulate),
    )


def _format(wanted: dict[str, Any]) -> object:
    match wanted.get("type"):
        case "json_object":
            return "json"
        case "json_schema":
            return wanted.get("json_schema", {}).get("schema", "json")
        case _:
            return None


def _named(request: _Request) -> str:
    if not request.model:
        raise Refused(400, "model is required")
    return request.model
