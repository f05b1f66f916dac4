"""Values as JSON. What cannot be written as JSON is named, for people whose program made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from oq.words.errors import InvalidTask

DEEPEST = 64
"""Levels of a value that are looked at to find what is wrong with it."""
_SHOWN = 64
"""Characters of a value that are shown."""
_ERRORS = (TypeError, ValueError, OverflowError, RecursionError)


def to_json(document: object) -> bytes:
    """The document as JSON. InvalidTask names the part of it that cannot be written."""
    try:
        return msgspec.json.encode(document)
    except _ERRORS as error:
        where, what = _find(document, "", 0) or ("", str(error))
        raise InvalidTask(where, f"this cannot be written as JSON: {what}") from None


def _find(value: object, where: str, depth: int) -> tuple[str, str] | None:
    """The first part that cannot be written, and why; None if there is none."""
    if depth > DEEPEST or isinstance(error := _error_of(value), RecursionError):
        return where, "it is nested too deeply, or contains itself"
    if error is None:
        return None
    if isinstance(value, Mapping):
        for key in value:
            if _error_of({key: None}) is not None:
                shown = repr(key)[:_SHOWN]
                return where, f"the key {shown} is no text; write it as one"
    for part, one in _parts(value, where):
        if found := _find(one, part, depth + 1):
            return found
    if isinstance(value, str):
        return where, f"{repr(value)[:_SHOWN]} has half of a surrogate pair; take it out"
    kind = type(value).__name__
    return where, f"{repr(value)[:_SHOWN]} is of type {kind}; use texts, numbers, lists and dicts"


def _parts(value: Any, where: str) -> Iterator[tuple[str, object]]:
    dot = f"{where}." if where else ""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield f"{dot}{name}", getattr(value, name)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield f"{dot}{str(name)[:_SHOWN]}", one
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, one in enumerate(value):
            yield f"{where}[{index}]", one


def _error_of(value: object) -> Exception | None:
    try:
        msgspec.json.encode(value)
    except _ERRORS as error:
        return error
    return None
