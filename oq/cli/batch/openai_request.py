"""A line of an OpenAI batch as an oq task: the body of its call in Ollama's form. Pure.

OpenAI's forms: https://platform.openai.com/docs/api-reference/batch and .../chat/create. Ollama's:
https://github.com/ollama/ollama/blob/main/docs/api.md; where the two differ, this does as Ollama's
own /v1 does (middleware/openai.go), so that a line means here what it means there:

    max_tokens, max_completion_tokens     options.num_predict
    temperature, top_p, seed, stop, ...   options, by the same name
    response_format                       format: "json", or the schema
    reasoning_effort                      think: none is false, a level is itself
    content in parts                      its texts, joined by line breaks, and its images
    arguments of a tool call              an object instead of a string
    role developer                        system
    metadata                              the task's metadata
    stream, n = 1, store, service_tier    left out: they change nothing here
    options                               goes with the options (oq's own: what OpenAI cannot say)
    everything else                       goes along as it is
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from oq.words.errors import InvalidTask
from oq.words.from_json import NOT_READ
from oq.words.new import NewTask
from oq.words.task import TaskType

Body = dict[str, Any]

_TOKENS = ("max_tokens", "max_completion_tokens")
_SAMPLING = (
    "temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty",
    "top_k", "min_p", "typical_p", "repeat_penalty",
)  # fmt: skip
_MEANT_ELSEWHERE = frozenset(
    {
        "model", "messages", "prompt", "input", "stream", "stream_options", "n", "best_of",
        "store", "service_tier", "response_format", "reasoning_effort", "metadata", "options",
        "encoding_format", *_TOKENS, *_SAMPLING,
    }
)  # fmt: skip


def openai_task(url: object, body: Body) -> NewTask:
    """The task that asks for what a call of `url` with this body asks for.

    InvalidTask names the field that has no counterpart, or is not of its type.
    """
    if not isinstance(url, str) or url not in _CALLS:
        raise InvalidTask("url", f"{str(url)[:80]!r} is none of {', '.join(_CALLS)}")
    kind, payload_of = _CALLS[url]
    if body.get("n", 1) not in (1, None):
        raise InvalidTask("body.n", "a task gives one answer; write a line for each")
    return NewTask(
        type=kind,
        model=_of_type(body, "model", str, ""),
        payload=payload_of(body) | _format(body) | _think(body) | _rest(body),
        options=_options(body) or None,
        metadata=_of_type(body, "metadata", dict, None),
    )


def _chat(body: Body) -> Body:
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise InvalidTask("body.messages", "it must be an array of messages")
    tools: dict[str, str] = {}
    return {"messages": [_message(f"body.messages[{i}]", m, tools) for i, m in enumerate(messages)]}


def _message(where: str, message: Body, tools: dict[str, str]) -> Body:
    """The message in Ollama's form. `tools` keeps the name of the tool that each call is for."""
    said = dict(message)
    if said.get("role") == "developer":
        said["role"] = "system"
    content = said.get("content")
    if isinstance(content, list):
        said |= _parts(where, content)
    elif content is None:
        said["content"] = ""
    if said.get("tool_calls"):
        if not isinstance(said["tool_calls"], list):
            raise InvalidTask(f"{where}.tool_calls", "it must be an array of calls")
        said["tool_calls"] = [_call(where, call, tools) for call in said["tool_calls"]]
    if said.get("role") == "tool" and str(said.get("tool_call_id")) in tools:
        said.setdefault("tool_name", tools[str(said["tool_call_id"])])
    if "reasoning" in said:
        said["thinking"] = said.pop("reasoning")
    return said


def _parts(where: str, parts: list[Any]) -> Body:
    texts, images = [], []
    for part in parts:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                images.append(_image(where, url))
            case _:
                raise InvalidTask(f"{where}.content", "a part is neither text nor image_url")
    return {"content": "\n".join(texts)} | ({"images": images} if images else {})


def _image(where: str, url: str) -> str:
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise InvalidTask(
            f"{where}.content",
            f"the image {url[:40]!r} is not a data URL (data:image/png;base64,...); oq does not"
            " download images",
        )
    return data


def _call(where: str, call: Any, tools: dict[str, str]) -> Body:
    match call:
        case {"function": {"name": str(name)} as function}:
            arguments = function.get("arguments") or "{}"
        case _:
            raise InvalidTask(f"{where}.tool_calls", "a call names no function")
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments, type=dict[str, Any])
        except NOT_READ:
            raise InvalidTask(
                f"{where}.tool_calls", "the arguments are not a JSON object"
            ) from None
    if isinstance(call.get("id"), str):
        tools[call["id"]] = name
    return {**call, "function": {**function, "arguments": arguments}}


def _completion(body: Body) -> Body:
    match body.get("prompt"):
        case str(prompt) | [str(prompt)]:
            return {"prompt": prompt}
        case _:
            raise InvalidTask("body.prompt", "it must be one text; write a line for each")


def _embeddings(body: Body) -> Body:
    given = body.get("input")
    if not isinstance(given, str) and not (
        isinstance(given, list) and all(isinstance(each, str) for each in given)
    ):
        raise InvalidTask("body.input", "it must be a text or an array of texts")
    return {"input": given}


_CALLS: dict[str, tuple[TaskType, Callable[[Body], Body]]] = {
    "/v1/chat/completions": (TaskType.CHAT, _chat),
    "/v1/completions": (TaskType.GENERATE, _completion),
    "/v1/embeddings": (TaskType.EMBED, _embeddings),
}


def _options(body: Body) -> Body:
    options = dict(_of_type(body, "options", dict, None) or {})
    options |= {name: body[name] for name in _SAMPLING if body.get(name) is not None}
    limits = [body[name] for name in _TOKENS if body.get(name) is not None]
    return options | ({"num_predict": limits[-1]} if limits else {})


def _format(body: Body) -> Body:
    match body.get("response_format"):
        case None | {"type": "text"}:
            return {}
        case {"type": "json_object"}:
            return {"format": "json"}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return {"format": schema}
        case _:
            raise InvalidTask(
                "body.response_format", "it is none of text, json_object, json_schema with a schema"
            )


def _think(body: Body) -> Body:
    effort = body.get("reasoning_effort")
    return {} if effort is None else {"think": False if effort == "none" else effort}


def _rest(body: Body) -> Body:
    return {name: value for name, value in body.items() if name not in _MEANT_ELSEWHERE}


def _of_type(body: Body, name: str, kind: type, default: Any) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        what = "a text" if kind is str else "an object"
        raise InvalidTask(f"body.{name}", f"it must be {what}")
    return value
