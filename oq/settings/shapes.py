"""What the settings' types say about themselves: the keys of a section, the choices of a value."""

from __future__ import annotations

import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from oq.words.config import Config, Section

INDEX = re.compile(r"\[\d+\]")


def fields(kind: Any) -> dict[str, Any]:
    """The keys of a section, and the type of each."""
    return {info.name: info.type for info in msgspec.structs.fields(kind)}


def is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def is_list(kind: Any) -> bool:
    return get_origin(_bare(kind)) is tuple


def is_table(kind: Any) -> bool:
    """Whether its keys are not oq's, but names that the user gives."""
    return get_origin(kind) is dict


def table_values(kind: Any) -> Any:
    """The type of the values of such a table."""
    return get_args(kind)[1]


def element(kind: Any) -> Any:
    """The type of a list's items."""
    return get_args(_bare(kind))[0]


def _bare(kind: Any) -> Any:
    """The type without bounds, and without None where the key may be empty."""
    if is_optional(kind):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def is_optional(kind: Any) -> bool:
    """Whether None is among its values."""
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)


def may_be_empty(kind: Any) -> bool:
    """Whether the key may be written without a value."""
    return isinstance(kind, types.UnionType) and type(None) in get_args(kind)


def choices(key: str) -> tuple[str, ...]:
    """The words that the value at `key` (``"backends[0].kind"``) is one of; none: any will do."""
    kind = _kind_at(key)
    return get_args(kind) if get_origin(kind) is Literal else ()


def _kind_at(key: str) -> Any:
    """The type of the value at `key`, or of a list's items."""
    kind: Any = Config
    for name in INDEX.sub("", key).split("."):
        kind = fields(kind)[name]
        kind = element(kind) if is_list(kind) else kind
    return kind
