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
_RUNS = re.compile(rb'(?:[^"]++|"(?:[^"\\]++|\\.)*+"?+){1,20000}+', re.DOTALL)
"""Some thousand strings, and what stands before each."""
_MARKS = (b",", b"[", b"{")


def count_values(text: bytes, unless_over: int = 0, enough: int | None = None) -> int:
    """At least as many as there are values in the text, the names of members aside: every value but
    the first comes after a comma or a bracket.

    Those in strings count too as long as there are not more than `unless_over` in all: to look for
    strings takes longer. More than `enough` values are not counted to the end.
    """
    count = _marks(text)
    if count <= unless_over:
        return count
    count = 0
    for run in _RUNS.finditer(text):  # other threads have their turn in between
        count += _marks(without_strings(run[0]))
        if enough is not None and count > enough:
            break
    return count


def without_strings(text: bytes | Raw) -> bytes:
    """What remains of a JSON text when its strings are left out."""
    return _STRINGS.sub(b"", text)


def _marks(text: bytes) -> int:
    return sum(map(text.count, _MARKS))
