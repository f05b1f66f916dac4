"""How much memory a JSON text can take once it is decoded. Pure, and at the speed of C.

A text of three bytes a value, as ``[[],[],[]]``, takes thirty times its size as Python objects. So
bytes alone do not bound what a text from outside costs; the number of its values does.
"""

from __future__ import annotations

import re

from msgspec import Raw

VALUE_COST = 80
"""Bytes that an empty list takes in Python, and its place in another."""

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_MARKS = (b",", b"[", b"{")


def count_values(text: bytes, unless_over: int = 0) -> int:
    """At least as many as there are values in the text, the names of members aside: every value but
    the first comes after a comma or a bracket.

    Those in strings count too as long as there are not more than `unless_over` in all: to look for
    strings takes longer.
    """
    count = _marks(text)
    return count if count <= unless_over else _marks(without_strings(text))


def without_strings(text: bytes | Raw) -> bytes:
    """What remains of a JSON text when its strings are left out."""
    return _STRINGS.sub(b"", text)


def _marks(text: bytes) -> int:
    return sum(map(text.count, _MARKS))
