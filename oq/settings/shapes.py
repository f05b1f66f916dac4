"""What the settings' types say about themselves: the keys of a section, the choices of a value."""

from __future__ import annotations

import re
import types
from typing import Any, Literal, get_args, get_origin

import msgspec

from oq.words.config import Config, Section

INDEX = re.compile(r"\[\d+\]")


def fields(kind: Any) -> dict[str, Any]:
    """The keys of a section, and the type of each."""
    return {info.name: info.type for info in msgspec.structs.fields(kind)}


def is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple


def element(kind: Any) -> Any:
    """The type of a list's items."""
    return get_args(kind)[0]


def may_be_empty(kind: Any) -> bool:
    """Whether the key may be written without a value."""
    return isinstance(kind, types.UnionType) and type(None) in get_args(kind)


def choices(key: str) -> tuple[str, ...]:
    """The words that the value at `key` (``"backends[0].kind"``) is one of; none: any will do."""
    kind: Any = Config
    for name in INDEX.sub("", key).split("."):
        kind = fields(kind)[name]
        kind = element(kind) if is_list(kind) else kind
    return get_args(kind) if get_origin(kind) is Literal else ()
