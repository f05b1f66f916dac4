"""Chat messages from Ollama's form to OpenAI's: images, tool calls, and the answers to those."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from msgspec import Struct

from oq.words.errors import BackendRejected

_MEDIA_TYPES = {"iVBOR": "png", "/9j/": "jpeg", "R0lG": "gif", "UklG": "webp"}
"""By how a file of each kind begins, in base64."""


class _CallShape(Struct):
    function: dict[str, Any]
    id: str | None = None


class _Shape(Struct):
    """What must hold of a message for it to be rewritten."""

    tool_calls: list[_CallShape] | None = None
    images: list[str] | None = None
    tool_name: str | None = None


_SHAPES = msgspec.json.Decoder(list[_Shape])


def openai_messages(text: bytes | msgspec.Raw) -> list[dict[str, Any]]:
    """The messages in a JSON array, as OpenAI writes them. Fields that both have, or neither, stay.

    BackendRejected if their tool calls or images are in no form that Ollama takes.
    """
    try:
        _SHAPES.decode(text)
        messages: list[dict[str, Any]] = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BackendRejected(f"payload.messages: {error}") from None
    return _rewritten(messages)


def _rewritten(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pending: deque[tuple[str, str]] = deque()
    count = 0
    said = []
    for message in messages:
        message = dict(message)
        calls = message.pop("tool_calls", None)
        if calls:
            message["tool_calls"] = [_call(call, count + i) for i, call in enumerate(calls)]
            count += len(calls)
            made = message["tool_calls"]
            pending.extend((call["function"].get("name", ""), call["id"]) for call in made)
        if "thinking" in message:
            message["reasoning_content"] = message.pop("thinking")
        images = message.pop("images", None)
        if images:
            message["content"] = _parts(message.get("content"), images)
        if message.get("role") == "tool":
            _match(message, pending)
        said.append(message)
    return said


def _call(call: dict[str, Any], number: int) -> dict[str, Any]:
    function = dict(call.get("function") or {})
    arguments = function.get("arguments", {})
    if not isinstance(arguments, str):
        function["arguments"] = msgspec.json.encode(arguments).decode()
    function.pop("index", None)  # Ollama's own
    return {"id": call.get("id") or f"call_{number}", "type": "function", "function": function}


def _match(message: dict[str, Any], pending: deque[tuple[str, str]]) -> None:
    """Give a tool's answer the id of its call: OpenAI needs one, Ollama names the tool at most."""
    name = message.pop("tool_name", None)
    given = message.get("tool_call_id")
    match = next((call for call in pending if call[1] == given), None) if given else None
    if match is None and not given and pending:
        match = next((call for call in pending if call[0] == name), pending[0])
        message["tool_call_id"] = match[1]
    if match is not None:
        pending.remove(match)


def _parts(content: object, images: list[str]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    if isinstance(content, list):
        parts += content
    elif content:
        parts.append({"type": "text", "text": content})
    parts += [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
    return parts


def _data_url(image: str) -> str:
    if image.startswith("data:"):
        return image
    kind = next((kind for start, kind in _MEDIA_TYPES.items() if image.startswith(start)), "jpeg")
    return f"data:image/{kind};base64,{image}"
