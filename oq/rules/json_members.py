"""Changing one member of a JSON object, and no other byte of it. Pure.

Each byte is looked at a few times at most, however the object is nested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from oq.rules.surrogates import readable

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'(?:[^][{}"]++|' + _STRING + rb")*+"
_BRACKET = re.compile(
    rb'(?:[^][{}"]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})*+([][{}])",
    re.DOTALL,
)
"""The next bracket, and all that stands before it: of a value that is deeper only they matter, and
the most of it, what opens and closes without another one within, is passed over in one step."""
_MEMBER = re.compile(
    rb"[\s,]*+(" + _STRING + rb")\s*+:\s*+"
    rb'([^][{}",\s]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})?+",
    re.DOTALL,
)
"""A member's name and its value, if that is no deeper than one bracket."""


def with_member(body: bytes, name: str, value: bytes) -> bytes:
    """The JSON object with this member, and every other byte as it was. Of several of this name
    each is replaced: which one counts depends on who reads it.
    """
    parts: list[bytes] = []
    at = 0
    for begin, end in _values(body, name):
        parts += (body[at:begin], value)
        at = end
    if not parts:
        at = body.index(b"{") + 1
        comma = b"," if body[at:].strip() != b"}" else b""
        parts = [body[:at], msgspec.json.encode(name), b":", value, comma]
    return b"".join([*parts, body[at:]])


def _values(body: bytes, name: str) -> Iterator[tuple[int, int]]:
    """Where the values of the members of this name begin and end, in a JSON object that can be
    decoded. Each byte is looked at a few times at most.
    """
    plain = msgspec.json.encode(name)
    at = body.index(b"{") + 1
    while member := _MEMBER.match(body, at):
        begin, at = member.end() if member[2] is None else member.start(2), member.end()
        if member[2] is None:
            at = _end_of_deep(body, begin)
        written = member[1]
        if written == plain or (b"\\" in written and _read(written) == name):
            yield begin, at


def _end_of_deep(body: bytes, begin: int) -> int:
    """Where the value ends that begins here with a bracket."""
    depth, at = 1, begin + 1
    while depth and (bracket := _BRACKET.match(body, at)):
        at = bracket.end()
        depth += 1 if bracket[1] in (b"[", b"{") else -1
    return at


def _read(name: bytes) -> str:
    return msgspec.json.decode(readable(name), type=str)
