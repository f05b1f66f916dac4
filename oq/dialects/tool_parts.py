"""Tells which call of a tool each part belongs to, in a streamed answer of OpenAI's form.

A part should say by its `index` which call it goes on with, and only the first part of a call its
`id` and its name. Servers do otherwise: each call has the index 0, or none; the id or the name
comes again in each part, or a new id in each; there are no ids. So what a part says is held against
the call that it may go on with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from zlib import crc32

from oq.dialects.deltas import MAX_ITEMS, index_of
from oq.dialects.reading import Json

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
_OPEN = "<"
"""What a string is replaced with, before its closing quote if it has one."""
_NONE: Json = {}


class ToolPart:
    """What one chunk says of a call. `arguments` are a text, or the object itself, or nothing."""

    __slots__ = ("arguments", "id", "index", "name", "said")

    def __init__(self, said: Json) -> None:
        function = said.get("function")
        function = function if isinstance(function, dict) else _NONE
        arguments = function.get("arguments")
        self.said = said
        self.index = index_of(said.get("index"))
        self.id = _text(said.get("id"))
        self.name = _text(function.get("name"))
        self.arguments: str | Json | None = (
            arguments if isinstance(arguments, dict) else _text(arguments) or None
        )

    @property
    def text(self) -> str:
        """The arguments, as far as they are a text."""
        return self.arguments if isinstance(self.arguments, str) else ""


class Placed(NamedTuple):
    """A part, and the place of its call among the calls of the answer, in order of arrival."""

    place: int
    part: ToolPart


class ToolParts:
    """The parts of one answer. Calls after MAX_ITEMS are left out."""

    __slots__ = ("_by_id", "_latest", "calls")

    def __init__(self) -> None:
        self.calls: list[CallSoFar] = []
        """By their place."""
        self._latest: dict[int, CallSoFar] = {}
        self._by_id: dict[tuple[int | None, str], CallSoFar] = {}

    def tell(self, said: list[Any]) -> Iterator[Placed]:
        """The parts in a chunk. What is odd is left out, and so is a call that is said again."""
        for position, each in enumerate(said):
            if not isinstance(each, dict):
                continue
            part = ToolPart(each)
            call = self._call(part, position, alone=len(said) == 1)
            if call is not None and not call.repeats(part):
                call.add(part)
                yield Placed(call.place, part)

    def _call(self, part: ToolPart, position: int, *, alone: bool) -> CallSoFar | None:
        """The call that the part goes on with, or a new one; None if there are too many."""
        index = part.index
        call = self._by_id.get((index, part.id)) if part.id else None
        if call is None and index is None and alone and not (part.id or part.name):
            call = self.calls[-1] if self.calls else None
        if call is None:
            call = self._latest.get(position if index is None else index)
        if call is not None and call.goes_on_with(part):
            return call
        place = len(self.calls)
        if place >= MAX_ITEMS:
            return None
        call = CallSoFar(place, place if index is None else index)
        self.calls.append(call)
        self._latest[position if index is None else index] = call
        if part.id:
            self._by_id[index, part.id] = call
        return call


class CallSoFar:
    """What is known of a call by now. `order` is its index, or its place if it has none."""

    __slots__ = ("_arguments", "_object", "id", "name", "order", "place")

    def __init__(self, place: int, order: int) -> None:
        self.place = place
        self.order = order
        self.id = ""
        self.name = ""
        self._arguments = _Document()
        self._object: Json | None = None

    @property
    def argued(self) -> bool:
        """Whether anything was said of its arguments."""
        return self._arguments.size > 0 or self._object is not None

    def add(self, part: ToolPart) -> None:
        """The call goes on with this part. Its first id holds; its name may come in parts."""
        self.id = self.id or part.id
        said_again = part.name.startswith(self.name)
        self.name = part.name if said_again else self.name + part.name
        self._arguments.add(part.text)
        if isinstance(part.arguments, dict):
            self._object = part.arguments

    def goes_on_with(self, part: ToolPart) -> bool:
        """Whether the part is of this call, and does not begin another one."""
        another_id = bool(part.id and self.id and part.id != self.id)
        if part.name and self.name and part.name != self.name:
            in_parts = not self.argued and part.arguments is None and part.index is not None
            return in_parts and not another_id
        if another_id:
            begins = bool(part.name) and part.text.lstrip().startswith("{")
            return self._arguments.is_open and not begins
        if part.name and self.name and self._is_whole and part.arguments is not None:
            return bool(part.text and not part.text.strip()) or self.repeats(part)
        return True

    def repeats(self, part: ToolPart) -> bool:
        """Whether the part says the whole call once more, and not how it goes on."""
        if not (part.id and part.id == self.id and self._is_whole and part.arguments is not None):
            return False
        if isinstance(part.arguments, dict):
            return part.arguments == self._object
        return self._arguments.is_same(part.text)

    @property
    def _is_whole(self) -> bool:
        return self._object is not None or self._arguments.is_whole


class _Document:
    """A text that comes bit by bit: whether it is one JSON object by now. It is not kept."""

    __slots__ = ("_braces", "_depth", "_open", "_sum", "size")

    def __init__(self) -> None:
        self.size = 0
        self._sum = 0
        self._braces = self._depth = 0
        self._open = ""  # of a string that has not ended: its quote, and an escape at the end

    def add(self, bit: str) -> None:
        """The text goes on with this."""
        self.size += len(bit)
        self._sum = _sum(bit, self._sum)
        text = _STRING.sub(rf"{_OPEN}\1", self._open + bit)
        self._open = '"\\' if text.endswith(_OPEN + "\\") else '"' if text.endswith(_OPEN) else ""
        opened = text.count("{")
        self._braces += opened
        self._depth += opened - text.count("}")

    def is_same(self, text: str) -> bool:
        """Whether it is this text."""
        return self.size == len(text) and self._sum == _sum(text, 0)

    @property
    def is_whole(self) -> bool:
        return bool(self._braces) and not self._open and self._depth <= 0

    @property
    def is_open(self) -> bool:
        """Whether it has begun, and not come to its end."""
        return self.size > 0 and not self.is_whole


def _sum(text: str, before: int) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"), before)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
