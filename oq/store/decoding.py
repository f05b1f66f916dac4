"""Decodes stored values, which may be damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from oq.words.errors import StoreCorrupt

T = TypeVar("T")

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises for bytes that are not what they should be: text that is no UTF-8 is a
UnicodeDecodeError.
"""


def read(decode: Callable[[bytes], T], value: bytes, what: str) -> T:
    """The value, decoded. StoreCorrupt says of what it cannot be."""
    try:
        return decode(value)
    except UNDECODABLE as error:
        raise StoreCorrupt(f"{what} cannot be read: {error}") from None
