"""The calls of tools in a streamed answer of OpenAI's form, put together from their parts."""

from __future__ import annotations

from typing import Any

from oq.dialects.deltas import GrowingObject
from oq.dialects.reading import Json
from oq.dialects.tool_parts import CallSoFar, ToolParts


class ToolCalls:
    """The calls of one answer; see `ToolParts`."""

    __slots__ = ("_fields", "_parts")

    def __init__(self) -> None:
        self._parts = ToolParts()
        self._fields: list[GrowingObject] = []

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._fields)

    def add(self, parts: list[Any]) -> None:
        """What a chunk says of them."""
        for place, part in self._parts.tell(parts):
            if place == len(self._fields):
                self._fields.append(GrowingObject())
            self._fields[place].add(part.said)

    def whole(self, *, indexed: bool) -> list[Json]:
        """The calls by their index, which stays in them if they are to be `indexed`. Arguments that
        were left out are those of a call without any: an empty object.
        """
        calls = sorted(self._parts.calls, key=_order)
        return [_whole(call, self._fields[call.place], indexed=indexed) for call in calls]


def _whole(call: CallSoFar, fields: GrowingObject, *, indexed: bool) -> Json:
    said = fields.whole()
    function = said.get("function")
    if isinstance(function, dict):
        if call.name:
            function["name"] = call.name
        if not call.argued:
            function["arguments"] = "{}"
    if call.id:
        said["id"] = call.id
    if not indexed:
        said.pop("index", None)
    return said


def _order(call: CallSoFar) -> int:
    return call.order
