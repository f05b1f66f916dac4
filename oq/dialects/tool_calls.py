"""The calls of tools in a streamed answer of OpenAI's form, put together from their parts.

A part should say by its `index` which call it goes on with, and only the first part of a call its
`id` and its name. Servers do otherwise: each call has the index 0, or none; the id or the name
comes again in each part, or a new id in each; there are no ids. So what a part says is held against
the call that it may go on with.
"""

from __future__ import annotations

import re
from typing import Any

from oq.dialects.growing import MAX_ITEMS, GrowingObject, index_of
from oq.dialects.growing_text import GrowingText
from oq.dialects.reading import Json

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_OPEN = "<"
"""What a string is replaced with, before its closing quote if it has one."""
_NONE: Json = {}


class ToolCalls:
    """The calls of one answer, in its order."""

    __slots__ = ("_by_id", "_calls", "_latest")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._latest: dict[int, _Call] = {}
        self._by_id: dict[tuple[int | None, str], _Call] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._calls)

    def add(self, parts: list[Any]) -> None:
        """What a chunk says of them. What is odd is left out, and so are calls after MAX_ITEMS."""
        alone = len(parts) == 1
        for position, each in enumerate(parts):
            if isinstance(each, dict):
                part = _Part(each)
                call = self._call(part, position, alone=alone)
                if call is not None:
                    call.add(part)

    def whole(self, *, indexed: bool) -> list[Json]:
        """The calls, by their index, which stays in them if they are to be `indexed`. Arguments
        that were left out are those of a call without any: an empty object.
        """
        return [call.whole(indexed=indexed) for call in sorted(self._calls, key=_order)]

    def _call(self, part: _Part, position: int, *, alone: bool) -> _Call | None:
        """The call that the part goes on with, or a new one; None if there are too many."""
        index = part.index
        call = self._by_id.get((index, part.id)) if part.id else None
        if call is None and index is None and alone and not (part.id or part.name):
            call = self._calls[-1] if self._calls else None
        if call is None:
            call = self._latest.get(position if index is None else index)
        if call is not None and call.goes_on_with(part):
            return call
        if len(self._calls) >= MAX_ITEMS:
            return None
        call = _Call(len(self._calls) if index is None else index)
        self._calls.append(call)
        self._latest[position if index is None else index] = call
        if part.id:
            self._by_id[index, part.id] = call
        return call


class _Part:
    """What one chunk says of a call."""

    def __init__(self, said: Json) -> None:
        function = said.get("function")
        function = function if isinstance(function, dict) else _NONE
        self.said = said
        self.index = index_of(said.get("index"))
        self.id = _text(said.get("id"))
        self.name = _text(function.get("name"))
        arguments = function.get("arguments")
        self.text = _text(arguments)
        self.object = arguments if isinstance(arguments, dict) else None

    @property
    def argues(self) -> bool:
        """Whether it says anything of the arguments."""
        return bool(self.text) or self.object is not None


class _Call:
    """A call that is being put together."""

    __slots__ = ("_fields", "_id", "_name", "_object", "_text", "order")

    def __init__(self, order: int) -> None:
        self.order = order
        self._fields = GrowingObject()
        self._id = ""
        self._name = ""
        self._text = _Document()
        self._object: Json | None = None

    def add(self, part: _Part) -> None:
        """The call goes on with this part."""
        if part.id and part.id == self._id and self._repeats(part):
            return
        said = part.said
        if part.name and self._name == part.name:  # it is said again, not in parts
            said = said | {"function": {k: v for k, v in said["function"].items() if k != "name"}}
        if self._id:
            said = {key: value for key, value in said.items() if key != "id"}
        self._id = self._id or part.id
        said_again = part.name.startswith(self._name)
        self._name = part.name if said_again else self._name + part.name
        self._text.add(part.text)
        self._object = self._object if part.object is None else part.object
        self._fields.add(said)

    def goes_on_with(self, part: _Part) -> bool:
        """Whether the part is of this call, and does not begin another one."""
        another_id = bool(part.id and self._id and part.id != self._id)
        if part.name and self._name and part.name != self._name:
            in_parts = not self._argued and not part.argues and part.index is not None
            return in_parts and not another_id
        if another_id and part.name:
            return self._text.is_open and not part.text.lstrip().startswith("{")
        if another_id:
            return self._text.is_open
        if part.name and self._name and self._is_whole and part.argues:
            return bool(part.text and not part.text.strip()) or self._repeats(part)
        return True

    def whole(self, *, indexed: bool) -> Json:
        """The call."""
        said = self._fields.whole()
        function = said.get("function")
        if isinstance(function, dict):
            if self._name and "name" in function:
                function["name"] = self._name
            if not self._argued:
                function["arguments"] = "{}"
        if not indexed:
            said.pop("index", None)
        return said

    @property
    def _argued(self) -> bool:
        return self._text.begun or self._object is not None

    @property
    def _is_whole(self) -> bool:
        return self._object is not None or self._text.is_whole

    def _repeats(self, part: _Part) -> bool:
        """Whether the part says the whole call once more."""
        if not (part.id and part.id == self._id and self._is_whole and part.argues):
            return False
        if part.object is not None:
            return part.object == self._object
        function = self._fields.get("function")
        text = function.get("arguments") if isinstance(function, GrowingObject) else None
        return isinstance(text, GrowingText) and text.says(part.text)


class _Document:
    """A text that comes bit by bit: whether it is one JSON object by now."""

    __slots__ = ("_braces", "_depth", "_open", "begun")

    def __init__(self) -> None:
        self.begun = False
        self._braces = self._depth = 0
        self._open = ""  # of a string that has not ended: its quote, and an escape at the end

    def add(self, bit: str) -> None:
        """The text goes on with this."""
        self.begun = self.begun or bool(bit)
        text = _STRING.sub(rf"{_OPEN}\1", self._open + bit)
        self._open = '"\\' if text.endswith(_OPEN + "\\") else '"' if text.endswith(_OPEN) else ""
        opened = text.count("{")
        self._braces += opened
        self._depth += opened - text.count("}")

    @property
    def is_whole(self) -> bool:
        return bool(self._braces) and not self._open and self._depth <= 0

    @property
    def is_open(self) -> bool:
        """Whether it has begun, and not come to its end."""
        return self.begun and not self.is_whole


def _order(call: _Call) -> int:
    return call.order


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
