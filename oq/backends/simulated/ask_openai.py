"""A request that came by the OpenAI form: https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from oq.backends.simulated.ask import (
    Ask,
    Message,
    alternatives,
    last_said,
    script_of,
    words_in,
)
from oq.backends.simulated.reading import Refused, decode
from oq.words.task import TaskType


class _StreamOptions(Struct):
    include_usage: bool = False


class _Request(Struct):
    """What all three calls have in common. `simulate` is the simulator's own."""

    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    tools: list[Any] | None = None
    simulate: dict[str, Any] | None = None


class ChatCompletionRequest(_Request, kw_only=True):
    """The body of /v1/chat/completions."""

    messages: list[Message]
    logprobs: bool | None = None
    top_logprobs: int | None = None


class CompletionRequest(_Request, kw_only=True):
    """The body of /v1/completions."""

    prompt: str | list[str | int]


class EmbedRequest(_Request, kw_only=True):
    """The body of /v1/embeddings."""

    input: str | list[str]
    dimensions: int | None = None
    encoding_format: str | None = None


_CHAT = msgspec.json.Decoder(ChatCompletionRequest)
_COMPLETION = msgspec.json.Decoder(CompletionRequest)
_EMBEDDINGS = msgspec.json.Decoder(EmbedRequest)
_FIELDS = msgspec.json.Decoder(dict[str, Any])


def ask_openai(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to one of the /v1 calls asks; Refused if it is wrong."""
    match kind:
        case TaskType.CHAT:
            chat = decode(_CHAT, body)
            wanted = alternatives(chat.logprobs, chat.top_logprobs)
            tokens = words_in(chat.messages)
            return _ask(kind, chat, tokens, prompt=last_said(chat.messages), logprobs=wanted)
        case TaskType.GENERATE:
            completion = decode(_COMPLETION, body)
            prompts = prompts_of(completion.prompt)
            tokens = sum(len(prompt.split()) for prompt in prompts)
            return _ask(kind, completion, tokens, prompts=prompts)
        case _:
            return _embeddings(decode(_EMBEDDINGS, body))


def ask_unnamed(kind: TaskType, body: bytes) -> Ask:
    """The same by the paths of llama.cpp without /v1, where a request need not name a model. The
    text of an embedding may be the `content`.
    """
    fields = decode(_FIELDS, body)
    if kind is TaskType.EMBED and "content" in fields:
        fields.setdefault("input", fields["content"])
    ask = ask_openai(kind, msgspec.json.encode({"model": "any", **fields}))
    return ask if "model" in fields else replace(ask, model="")


def prompts_of(given: str | list[str | int]) -> tuple[str, ...]:
    """The prompts of a completion: a text, several, or one as the numbers of its tokens."""
    if isinstance(given, str):
        return (given,)
    if all(isinstance(part, str) for part in given):
        return tuple(str(part) for part in given)
    return (" ".join(map(str, given)),)


def _ask(kind: TaskType, request: _Request, prompt_tokens: int, **more: Any) -> Ask:
    limit = request.max_completion_tokens or request.max_tokens
    return Ask(
        kind=kind,
        model=_named(request),
        n=request.n or 1,
        prompt_tokens=prompt_tokens,
        stream=bool(request.stream),
        options={} if limit is None else {"num_predict": limit},
        format=format_of(request.response_format or {}),
        think=request.reasoning_effort not in (None, "none"),
        tools=bool(request.tools),
        usage=request.stream_options is not None and request.stream_options.include_usage,
        script=script_of(request.simulate),
        **more,
    )


def _embeddings(request: EmbedRequest) -> Ask:
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


def format_of(wanted: dict[str, Any]) -> object:
    """The form of the answer that `response_format` asks for: a schema, "json", or None."""
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
