"""A request to the simulated backend, whichever of the two APIs it came by."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from oq.backends.simulated.reading import Refused, decode
from oq.backends.simulated.script import Script
from oq.words.durations import parse_duration
from oq.words.task import TaskType


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of the model. `texts` are what an embed call wants vectors of; a `load` has
    no prompt.
    """

    kind: TaskType
    model: str
    """Empty where a server of one model is not told which."""
    prompt: str = ""
    prompts: tuple[str, ...] = ()
    """Several prompts, each of which is answered; `prompt` does not matter then."""
    n: int = 1
    """Answers to each prompt."""
    prompt_tokens: int = 0
    texts: tuple[str, ...] = ()
    stream: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    format: Any = None
    think: bool = False
    tools: bool = False
    load: bool = False
    keep: float | None = None
    """Seconds that the model is to stay in memory afterwards; None: as long as usual."""
    shift: bool | None = None
    dimensions: int | None = None
    base64: bool = False
    """Whether vectors are wanted as OpenAI's base64."""
    logprobs: int | None = None
    """How many alternatives of each token are to be told with its probability; None: not even
    that.
    """
    usage: bool = True
    """Whether an OpenAI stream is to end with the counts."""
    render_only: bool = False
    """Whether only the prompt is wanted, as the model would get it."""
    request: dict[str, Any] = field(default_factory=dict)
    """What was sent, where an answer tells it again or needs more of it."""
    script: Script | None = None

    @property
    def unload(self) -> bool:
        """Whether it only wants the model to leave."""
        return self.load and self.keep == 0


class Message(Struct):
    """What the simulated model reads of a message."""

    content: Any = None


class _Said(Struct):
    """What chat and generate have in common."""

    model: str = ""
    stream: bool | None = None
    options: dict[str, Any] | None = None
    format: Any = None
    think: bool | str | None = None
    keep_alive: Any = None
    shift: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    debug: bool = msgspec.field(default=False, name="_debug_render_only")


class ChatRequest(_Said):
    """The body of /api/chat."""

    messages: list[Message] = []
    tools: list[Any] | None = None


class GenerateRequest(_Said):
    """The body of /api/generate."""

    prompt: str = ""
    system: str | None = None


class EmbedRequest(Struct):
    """The body of /api/embed and /api/embeddings."""

    model: str = ""
    input: str | list[str] | None = None
    prompt: str | None = None
    options: dict[str, Any] | None = None
    dimensions: int | None = None
    keep_alive: Any = None


# Their names stand in errors, as those of Go's types do.
_CHAT = msgspec.json.Decoder(ChatRequest)
_GENERATE = msgspec.json.Decoder(GenerateRequest)
_EMBED = msgspec.json.Decoder(EmbedRequest)


def ask_ollama(kind: TaskType, body: bytes) -> Ask:
    """What a body sent to /api/chat, generate or embed asks; Refused as Ollama refuses it."""
    if not body.strip():
        raise Refused(400, "missing request body")
    match kind:
        case TaskType.CHAT:
            return _chat(decode(_CHAT, body))
        case TaskType.GENERATE:
            return _generate(decode(_GENERATE, body))
        case _:
            return _embed(decode(_EMBED, body))


def script_of(value: object) -> Script | None:
    """The script that comes along with a request; Refused if it is none."""
    if value is None:
        return None
    try:
        return msgspec.convert(value, Script)
    except msgspec.ValidationError as error:
        raise Refused(400, f"simulate: {error}") from None


def content_text(content: object) -> str:
    """The text of a message's content: a string, or OpenAI's list of parts."""
    if isinstance(content, list):
        parts = [part.get("text", "") for part in content if isinstance(part, dict)]
        return " ".join(part for part in parts if isinstance(part, str) and part)
    return content if isinstance(content, str) else ""


def words_in(messages: list[Message]) -> int:
    """Prompt tokens of a chat: one for each word of its messages."""
    return sum(len(content_text(message.content).split()) for message in messages)


def last_said(messages: list[Message]) -> str:
    """The last message's text: what the simulated model answers to."""
    return content_text(messages[-1].content) if messages else ""


def _chat(body: ChatRequest) -> Ask:
    return _said(
        TaskType.CHAT,
        body,
        prompt=last_said(body.messages),
        prompt_tokens=words_in(body.messages),
        tools=bool(body.tools),
        load=not body.messages,
    )


def _generate(body: GenerateRequest) -> Ask:
    return _said(
        TaskType.GENERATE,
        body,
        prompt=body.prompt,
        prompt_tokens=len(body.prompt.split()) + len((body.system or "").split()),
        load=not body.prompt,
    )


def _said(kind: TaskType, body: _Said, **more: Any) -> Ask:
    options = body.options or {}
    return Ask(
        kind=kind,
        model=_named(body.model),
        stream=body.stream is not False,
        options=options,
        format=body.format or None,
        think=bool(body.think),
        keep=_kept(body.keep_alive),
        shift=body.shift,
        render_only=body.debug,
        logprobs=alternatives(body.logprobs, body.top_logprobs),
        script=script_of(options.get("simulate")),
        **more,
    )


def _embed(body: EmbedRequest) -> Ask:
    options = body.options or {}
    given = body.input if body.input is not None else body.prompt
    texts = [given] if isinstance(given, str) else given or []
    return Ask(
        kind=TaskType.EMBED,
        model=_named(body.model),
        prompt_tokens=sum(len(text.split()) for text in texts),
        texts=tuple(texts),
        stream=False,
        options=options,
        dimensions=body.dimensions,
        keep=_kept(body.keep_alive),
        load=not any(texts),
        script=script_of(options.get("simulate")),
    )


def alternatives(logprobs: bool | None, top: int | None) -> int | None:
    """How many alternatives of each token are wanted; Refused as Ollama refuses it."""
    if not 0 <= (top or 0) <= 20:
        raise Refused(400, "top_logprobs must be between 0 and 20")
    return top or 0 if logprobs else None


def _kept(keep_alive: object) -> float | None:
    """The seconds of `keep_alive`: for ever if they are less than 0. Refused if it is none."""
    if keep_alive is None:
        return None
    text = keep_alive.strip() if isinstance(keep_alive, str) else keep_alive
    negative = text < 0 if isinstance(text, int | float) else str(text).startswith("-")
    if negative:
        return math.inf
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Refused(400, str(error)) from None


def _named(model: str) -> str:
    if not model:
        raise Refused(400, "model is required")
    return model
