"""Objects and lists that grow while an answer streams, in whatever fields: texts get longer, lists
get more items, and of everything else the last word holds.

What is odd is left out: a number where a text has begun, or an index that is none.
"""

from __future__ import annotations

from typing import Any

from oq.dialects.growing_text import GrowingText, RepeatedText
from oq.dialects.reading import Json

MAX_ITEMS = 4096
"""Items of one list that are told apart by their index; what comes for others is left out."""
MAX_DEPTH = 50
"""Levels that grow; what is deeper is taken as it is."""

_TEXTS = frozenset(
    {"arguments", "content", "data", "input", "reasoning", "reasoning_content", "refusal", "text",
     "thinking", "transcript"}
)  # fmt: skip
"""Texts that come bit by bit, even if two bits are the same."""
_AT_ONCE = frozenset({"id", "role", "type", "object", "model", "status"})
"""Texts that are whole when they come; some servers repeat them in each chunk."""
_PARTED = frozenset({"content", "thinking"})
"""Texts that may be a list of parts instead."""
_JOINED = frozenset({"text", "thinking", "reasoning"})
"""Parts that go on where the one before is of the same type."""


class GrowingObject:
    """An object, of which each chunk says a part."""

    __slots__ = ("_depth", "_fields")

    def __init__(self, depth: int = MAX_DEPTH) -> None:
        self._fields: Json = {}
        self._depth = depth

    def add(self, said: Json) -> None:
        """The next part."""
        for key, value in said.items():
            self._fields[key] = _grown(key, self._fields.get(key), value, self._depth)

    def get(self, key: str) -> Any:
        """What this field has so far."""
        return self._fields.get(key)

    def whole(self) -> Json:
        """The object, with its texts put together. It is not to grow any more."""
        return {key: _whole(value) for key, value in self._fields.items()}


class GrowingList:
    """A list. Its objects that have an index go on by that; everything else is one more item."""

    __slots__ = ("_depth", "_items", "_places")

    def __init__(self, depth: int) -> None:
        self._items: list[Any] = []
        self._places: dict[int, GrowingObject] = {}
        self._depth = depth

    def add(self, said: list[Any]) -> None:
        """What the next chunk says of it."""
        for item in said:
            index = index_of(item.get("index")) if isinstance(item, dict) else None
            if index is None:
                self._items.append(item)
            else:
                self._place(index, item)

    def whole(self) -> list[Any]:
        """The list, with the texts of its items put together."""
        return [_whole(item) for item in self._items]

    def _place(self, index: int, item: Json) -> None:
        before = self._places.get(index)
        if before is None or not all(
            _same(before.get(key), item.get(key)) for key in ("type", "id")
        ):
            if len(self._items) >= MAX_ITEMS:
                return
            before = self._places[index] = GrowingObject(self._depth)
            self._items.append(before)
        before.add(item)


class GrowingParts:
    """A content that is a list of parts, as Mistral's is that thinks. A part that is a text goes on
    with the text before it.
    """

    __slots__ = ("_depth", "_parts")

    def __init__(self, depth: int, text: GrowingText | None = None) -> None:
        self._depth = depth
        self._parts: list[GrowingObject] = []
        if text:
            self.add([{"type": "text", "text": text.text()}])

    def add(self, said: list[Any]) -> None:
        """The next parts."""
        for part in said:
            if isinstance(part, str):
                self._add({"type": "text", "text": part})
            elif isinstance(part, dict):
                self._add(part)

    def whole(self) -> list[Json]:
        """The parts, with their texts put together."""
        return [part.whole() for part in self._parts]

    def _add(self, part: Json) -> None:
        kind = part.get("type")
        last = self._parts[-1] if self._parts else None
        if last is None or kind not in _JOINED or last.get("type") != kind:
            last = GrowingObject(self._depth)
            self._parts.append(last)
        last.add(part)


def index_of(value: Any) -> int | None:
    """An index: 3 of ``3`` and of ``3.0``. None if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53:
        return None
    return int(value) if value == int(value) else None


_NODES = (GrowingText, RepeatedText, GrowingObject, GrowingList, GrowingParts)


def _grown(key: str, before: Any, value: Any, depth: int) -> Any:
    """What a field has, when it had `before` and a chunk says `value`."""
    if value is None or (not value and isinstance(before, (str, *_NODES))):
        return before
    match value:
        case str():
            return _grown_text(key, before, value)
        case dict() if depth and key != "arguments":
            node = before if isinstance(before, GrowingObject) else _new(before, depth)
            if isinstance(node, GrowingObject):
                node.add(value)
            return node
        case list() if depth:
            return _grown_list(key, before, value, depth - 1)
        case _ if key in _TEXTS and not isinstance(value, (dict, list)):
            return before
        case _:
            return before if isinstance(before, _NODES) and before else value


def _new(before: Any, depth: int) -> Any:
    return before if isinstance(before, _NODES) and before else GrowingObject(depth - 1)


def _grown_text(key: str, before: Any, value: str) -> Any:
    if isinstance(before, (GrowingText, RepeatedText)):
        before.add(value)
        return before
    if isinstance(before, GrowingParts):
        before.add([value])
        return before
    if isinstance(before, (GrowingObject, GrowingList, dict)):
        return before
    if key in _AT_ONCE:
        return value
    return GrowingText(value) if key in _TEXTS else RepeatedText(value)


def _grown_list(key: str, before: Any, value: list[Any], depth: int) -> Any:
    if key in _PARTED and (before is None or isinstance(before, GrowingText)):
        before = GrowingParts(depth, before)
    elif not isinstance(before, _NODES):
        before = GrowingList(depth)
    if isinstance(before, (GrowingList, GrowingParts)):
        before.add(value)
    return before


def _same(before: Any, said: Any) -> bool:
    """Whether two words on one thing agree; to say nothing is to agree."""
    return before is None or said is None or before == said


def _whole(value: Any) -> Any:
    match value:
        case GrowingText() | RepeatedText():
            return value.raw()
        case GrowingObject() | GrowingList() | GrowingParts():
            return value.whole()
        case _:
            return value
