"""Writes a request of Ollama's /api/chat: https://github.com/ollama/ollama/blob/main/docs/api.md

It does as Ollama's own /v1/responses and /v1/messages do (openai/responses.go and
anthropic/anthropic.go there): sampling and limits are options, the effort is `think`, a schema is
`format`. What that API has no word for, such as a choice of tools, is left out there too; here it
is named.
"""

from __future__ import annotations

from typing import Any

import msgspec

from oq.dialects.reading import said_arguments
from oq.dialects.translate.chat_request import THINK, ChatRequest, Json, untranslatable
from oq.words.from_json import NOT_READ

_OPTIONS = frozenset(
    {"frequency_penalty", "min_p", "num_ctx", "presence_penalty", "repeat_last_n", "repeat_penalty"}
    | {"seed", "stop", "temperature", "top_k", "top_p", "typical_p"}
)
_BODY = frozenset({"keep_alive"})
_LEVELS = {"none": False, THINK: True, "minimal": "low", "xhigh": "max", "ultra": "max"}
"""What `think` is for an effort that Ollama has another word for."""
_DATA = ";base64"


def ollama_body(asked: ChatRequest) -> bytes:
    """The body of the call. InvalidTask names what it cannot say; hints are left out, and named."""
    body: Json = {"model": asked.model, "messages": _messages(asked), "stream": asked.stream}
    tools = _tools(asked)
    if tools:
        body["tools"] = tools
    if asked.response_format is not None:
        body["format"] = _format(asked.response_format)
    if asked.effort is not None:
        body["think"] = _LEVELS.get(asked.effort, asked.effort)
    options = dict(asked.sampling)
    if asked.max_tokens is not None:
        options["num_predict"] = asked.max_tokens
    if asked.stop:
        options["stop"] = asked.stop
    for name, value in asked.more.items():
        if name in _OPTIONS:
            options[name] = value
        elif name in _BODY:
            body[name] = value
        else:
            asked.leave_out(name)
    if options:
        body["options"] = options
    return msgspec.json.encode(body)


def _tools(asked: ChatRequest) -> list[Json]:
    if asked.parallel_tool_calls is False:
        asked.leave_out("parallel_tool_calls")
    match asked.tool_choice:
        case "none":
            return []
        case "required":
            asked.leave_out("tool_choice")
        case {"function": {"name": name}}:
            asked.leave_out("tool_choice")  # that it must be used; no other one can be
            return [tool for tool in asked.tools if tool["function"]["name"] == name]
    return asked.tools


def _format(wanted: Json) -> Any:
    schema = wanted.get("json_schema")
    return "json" if schema is None else schema.get("schema") or "json"


def _messages(asked: ChatRequest) -> list[Json]:
    names: dict[str, str] = {}
    return [_message(message, names, index) for index, message in enumerate(asked.messages)]


def _message(message: Json, names: dict[str, str], index: int) -> Json:
    """`names` has the tool of each call so far: Ollama wants it with the answer."""
    said: Json = {"role": message["role"], **_content(message.get("content"), index)}
    if message.get("reasoning_content"):
        said["thinking"] = message["reasoning_content"]
    if message.get("tool_calls"):
        said["tool_calls"] = [_call(call, names) for call in message["tool_calls"]]
    if "tool_call_id" in message:
        said["tool_call_id"] = message["tool_call_id"]
        if message["tool_call_id"] in names:
            said["tool_name"] = names[message["tool_call_id"]]
    return said


def _content(content: Any, index: int) -> Json:
    if not isinstance(content, list):
        return {"content": content or ""}
    texts, images = [], []
    for part in content:
        match part:
            case {"type": "text", "text": text}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)}}:
                images.append(_image(url))
            case _:
                raise untranslatable("input", f"Ollama takes no {part.get('type')!r:.80}")
    return {"content": "\n".join(texts), **({"images": images} if images else {})}


def _image(url: str) -> str:
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(_DATA):
        raise untranslatable(
            "image_url" if url else "image", f"Ollama takes no image by its URL ({url[:80]!r})"
        )
    return data


def _call(call: Json, names: dict[str, str]) -> Json:
    function = call["function"]
    names[call["id"]] = function["name"]
    arguments = _arguments(function["arguments"])
    return {"id": call["id"], "function": {"name": function["name"], "arguments": arguments}}


def _arguments(text: str) -> Json:
    """The arguments as an object. A model may have said others before: they are kept as a text."""
    try:
        return msgspec.json.decode(said_arguments(text), type=Json)
    except NOT_READ:
        return {"arguments": text}
