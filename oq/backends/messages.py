"""Chat messages from Ollama's form to OpenAI's: images, tool calls, and the answers to those."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from typing import Any

import msgspec
from msgspec import Struct

from oq.words.errors import BackendRejected
from oq.words.from_json import NOT_READ

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
    except NOT_READ as error:
        raise BackendRejected(f"payload.messages: {error}") from None
    return _rewritten(messages)


class _Pending:
    """Tool calls that nobody has answered yet, in their order. Each is passed over once, however
    many there are: what was answered by another way is left in its line until it is met there.
    """

    def __init__(self) -> None:
        # The id of each. The first of a plain dict is found behind all that has been removed.
        self._left: OrderedDict[int, str] = OrderedDict()
        self._made = 0
        self._by_id: defaultdict[object, deque[int]] = defaultdict(deque)
        self._by_name: defaultdict[object, deque[int]] = defaultdict(deque)

    def __bool__(self) -> bool:
        return bool(self._left)

    def add(self, name: object, call_id: str) -> None:
        self._left[self._made] = call_id
        self._by_id[call_id].append(self._made)
        self._by_name[name].append(self._made)
        self._made += 1

    def take(self, call_id: object) -> None:
        """The first one of this id is answered, if there is one."""
        number = self._first(self._by_id.get(call_id))
        if number is not None:
            del self._left[number]

    def pop(self, name: object) -> str:
        """The id of the first one of this name, else of the first of all; it is answered."""
        number = self._first(self._by_name.get(name))
        return self._left.pop(next(iter(self._left)) if number is None else number)

    def _first(self, line: deque[int] | None) -> int | None:
        while line and line[0] not in self._left:
            line.popleft()
        return line[0] if line else None


def _rewritten(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pending = _Pending()
    count = 0
    said = []
    for message in messages:
        message = dict(message)
        calls = message.pop("tool_calls", None)
        if calls:
            message["tool_calls"] = [_call(call, count + i) for i, call in enumerate(calls)]
            count += len(calls)
            for call in message["tool_calls"]:
                pending.add(_hashable(call["function"].get("name", "")), call["id"])
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


def _match(message: dict[str, Any], pending: _Pending) -> None:
    """Give a tool's answer the id of its call: OpenAI needs one, Ollama names the tool at most."""
    name = message.pop("tool_name", None)
    given = message.get("tool_call_id")
    if given:
        pending.take(_hashable(given))
    elif pending:
        message["tool_call_id"] = pending.pop(name)


def _hashable(value: object) -> object:
    """The value, if it can be looked for: no name and no id is a list."""
    return None if isinstance(value, (dict, list)) else value


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
