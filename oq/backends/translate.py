"""A task in Ollama's form as a call in OpenAI's. Pure: no I/O, no clock.

Ollama's form: https://github.com/ollama/ollama/blob/main/docs/api.md. OpenAI's:
https://platform.openai.com/docs/api-reference/chat and, for what llama.cpp's server takes beside
it, https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md

Options:
    num_predict          max_tokens (negative, which means no bound, is left out)
    num_keep             n_keep (llama.cpp)
    repeat_last_n        repeat_last_n (llama.cpp)
    LOAD_TIME            left out: such a server has loaded its model already
    everything else      as it is: temperature, top_p, seed, stop, presence_penalty and
                         frequency_penalty are OpenAI's; top_k, min_p, typical_p, repeat_penalty,
                         mirostat, mirostat_tau, mirostat_eta are llama.cpp's, and vLLM takes
                         top_k and min_p. OpenAI itself refuses them, and then says so.
Payload:
    system of a chat      its first message
    prompt of a generate  a chat's one user message, its images with it: Ollama's generate applies
                          the model's template, and /v1/completions does not. With raw or suffix it
                          is a plain prompt for /v1/completions, and system comes before it, with
                          an empty line between
    format                response_format
    think                 reasoning_effort: true is medium, false is none, a level is itself
    images                image_url parts with data URLs
    tool_calls            arguments become a string; calls that have no id get one, and the tool
                          messages that follow are matched to them by tool_name, else in order
    tools                 as they are; an empty list, as ollama-python sends it, is left out
    keep_alive, template, context, raw, truncate, stream   left out: they have no counterpart
    unknown fields        as they are
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw

from oq.backends.base import Request
from oq.backends.messages import openai_messages
from oq.words.errors import BackendRejected
from oq.words.task import TaskType

LOAD_TIME = frozenset(
    {
        "f16_kv",
        "logits_all",
        "low_vram",
        "main_gpu",
        "num_batch",
        "num_ctx",
        "num_gpu",
        "num_thread",
        "numa",
        "penalize_newline",
        "use_mlock",
        "use_mmap",
        "vocab_only",
    }
)
_RENAMED = {"num_predict": "max_tokens", "num_keep": "n_keep"}
_RESERVED = frozenset(
    {"best_of", "input", "messages", "model", "n", "prompt", "stream", "stream_options", "system"}
)
"""What the call itself says. `n` and `best_of` would ask for answers that nobody reads."""
_NO_COUNTERPART = frozenset(
    {"context", "format", "images", "keep_alive", "options", "raw", "template", "think", "truncate"}
)
_NOTHING = re.compile(rb'null|false|\[\s*\]|""')
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def openai_call(request: Request, *, stream: bool = True) -> tuple[str, bytes]:
    """The path, after the base URL with its /v1, and the body. `stream`: whether the answer is to
    come as a stream, if it can.

    BackendRejected if the task asks for what this form cannot say.
    """
    payload = _OBJECT.decode(request.payload)
    body: dict[str, object] = {"model": request.model}
    path, said = _SAID[request.type](payload)
    body |= said
    body |= _options(request.options)
    body |= _format(payload.get("format"))
    body |= _effort(payload.get("think"))
    known = _RESERVED | _NO_COUNTERPART
    if not _is_set(payload.get("tools")):  # many servers refuse an empty list
        known |= {"tools"}
    body |= {key: value for key, value in payload.items() if key not in known}
    if stream and request.type is not TaskType.EMBED:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return path, msgspec.json.encode(body)


_Said = tuple[str, dict[str, object]]


def _chat(payload: dict[str, Raw]) -> _Said:
    messages = openai_messages(payload["messages"])
    system = _text(payload.get("system"))
    if system and messages:
        messages.insert(0, {"role": "system", "content": system})
    return "/chat/completions", {"messages": messages}


def _generate(payload: dict[str, Raw]) -> _Said:
    system = _text(payload.get("system"))
    if not (_is_set(payload.get("raw")) or _is_set(payload.get("suffix"))):
        message = {"role": "user", "content": payload["prompt"]}
        if _is_set(payload.get("images")):
            message["images"] = payload["images"]
        messages = openai_messages(Raw(msgspec.json.encode([message])))
        if system:
            messages.insert(0, {"role": "system", "content": system})
        return "/chat/completions", {"messages": messages}
    if _is_set(payload.get("images")):
        raise BackendRejected(
            "payload.images: an OpenAI-compatible server takes no images with raw or suffix"
        )
    prompt = _text(payload["prompt"])
    return "/completions", {"prompt": f"{system}\n\n{prompt}" if system else prompt}


def _embed(payload: dict[str, Raw]) -> _Said:
    return "/embeddings", {"input": payload["input"]}


_SAID: dict[TaskType, Callable[[dict[str, Raw]], _Said]] = {
    TaskType.CHAT: _chat,
    TaskType.GENERATE: _generate,
    TaskType.EMBED: _embed,
}


def _options(options: bytes) -> dict[str, object]:
    said: dict[str, object] = {}
    for key, value in _OBJECT.decode(options).items():
        unbounded = key == "num_predict" and bytes(value).startswith(b"-")
        if key not in LOAD_TIME and key not in _RESERVED and not unbounded:
            said[_RENAMED.get(key, key)] = value
    return said


def _format(value: Raw | None) -> dict[str, object]:
    wanted = None if value is None else msgspec.json.decode(value)
    if not wanted:
        return {}
    if isinstance(wanted, dict):
        schema = {"name": "answer", "schema": wanted}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {"response_format": {"type": "json_object"}}


def _effort(value: Raw | None) -> dict[str, object]:
    match None if value is None else msgspec.json.decode(value):
        case True:
            return {"reasoning_effort": "medium"}
        case False:
            return {"reasoning_effort": "none"}
        case str(level) if level:
            return {"reasoning_effort": level}
        case _:
            return {}


def _text(value: Raw | None) -> str:
    return "" if value is None else msgspec.json.decode(value, type=str | None) or ""


def _is_set(value: Raw | None) -> bool:
    return value is not None and _NOTHING.fullmatch(value) is None
