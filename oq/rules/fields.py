"""What is wrong with a field, in words; an unknown one with the one that may be meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

import msgspec

MAX_NAME = 64
"""Characters of a field's name that are shown."""
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_NO_TIME = re.compile(r"Invalid RFC3339|Expected `datetime")


def unknown_field(reason: str, kind: Any) -> str | None:
    """What to say if msgspec's reason is a field that this type, or one in it, does not have."""
    found = _UNKNOWN.fullmatch(reason)
    if found is None:
        return None
    name = found[1][:MAX_NAME]
    close = get_close_matches(name, set(_names(kind)), n=1)
    return f"unknown field {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def plain(reason: str) -> str:
    """msgspec's words as people's: a field that is missing, and what is no time."""
    if _NO_TIME.match(reason):
        return "this is not a time; write 2026-01-31T12:00:00Z"
    return reason.replace("Object missing required field", "there is no field")


def _names(kind: Any) -> Iterator[str]:
    """The fields of a struct and of those in it, and of what a list or a union has."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield field.encode_name
            yield from _names(field.type)
    else:
        for part in get_args(kind):
            yield from _names(part)
