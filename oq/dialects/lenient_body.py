"""What oq must know of a call's body: the model, and whether a stream is wanted. Pure.

A body is for the backend to judge, so whatever it is, it is no error here. It is read as lenient
servers read it, those that are written in Go: keys may be in other case, of two values the first
counts, and bytes that are no UTF-8 stand for U+FFFD. Others refuse such a body in their own words.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from oq.rules.surrogates import readable


class Asked(NamedTuple):
    """`model` is empty, and `stream` is None, if the body does not say it."""

    model: str = ""
    stream: bool | None = None


class _Fields(Struct):
    model: str | None = None
    stream: bool | None = None


_FIELDS = msgspec.json.Decoder(_Fields)
_FIRST = json.JSONDecoder(parse_int=float, parse_constant=str)
"""Reads numbers of any size; none of them is wanted."""
_OTHER_CASE = re.compile(rb'"(?!model"|stream")(?i:model|stream)"[ \t\r\n]*:')
_WRONG = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)


def read_asked(body: bytes) -> Asked:
    """What a body asks for."""
    if not _OTHER_CASE.search(body):
        try:
            str(body, "utf-8")  # msgspec looks at no text that it skips
            fields = _FIELDS.decode(readable(body))
            return Asked(fields.model or "", fields.stream)
        except _WRONG:
            pass
    return _of(first_object(body))


def first_object(body: bytes) -> dict[str, Any]:
    """The object that a body begins with, read leniently; empty if it begins with none."""
    try:
        text = readable(body).decode("utf-8", "replace").lstrip(" \t\r\n")
        value, _ = _FIRST.raw_decode(text)
    except _WRONG:
        return {}
    return value if isinstance(value, dict) else {}


def _of(fields: dict[str, Any]) -> Asked:
    """Of two spellings of a key the last counts."""
    folded = {key.lower(): value for key, value in fields.items() if len(key) <= len("stream")}
    model, stream = folded.get("model"), folded.get("stream")
    return Asked(
        model if isinstance(model, str) else "", stream if isinstance(stream, bool) else None
    )
