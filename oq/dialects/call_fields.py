"""Reads what oq needs of the body of a call, as leniently as the servers that may get it.

A call goes to its backend byte for byte, and the backend alone judges it. oq reads two members of
it, the model and whether to stream, and two that make Ollama load its model again; of a body that
cannot be read it reads nothing. Servers read bodies in different ways:

- Ollama is written in Go (https://pkg.go.dev/encoding/json#Unmarshal). Names of members match in
  any case. Of several the last counts. null changes nothing. Bytes that are no UTF-8, and halves of
  surrogate pairs, become U+FFFD. What comes behind the first JSON value is not looked at.
- Servers in Python and C++ want the exact name. Of several members the last counts. There may be a
  byte order mark.

Nearly all bodies are read by msgspec, which passes over the rest of a body without decoding it.
What it does not take is read as far as `SCANNED` bytes, at a bounded cost for each byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from oq.rules.surrogates import readable
from oq.words.from_json import NOT_READ

SCANNED = 256 * 1024
"""Bytes of a body that are looked at where msgspec does not take it: hostile ones take a
microsecond each."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = rb'(?:[^][{}"]++|' + _STRING + rb")*+"
_BRACKET = re.compile(
    rb'(?:[^][{}"]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})*+([][{}])",
    re.DOTALL,
)
"""The next bracket, and all that stands before it: of a value that is deeper only they matter, and
the most of it, what opens and closes without another one within, is passed over in one step."""
_OPEN = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+\{")
_MEMBER = re.compile(
    rb"[ \t\r\n]*+(" + _STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+"
    rb'([^][{}",\s]++|' + _STRING + rb"|\[" + _FLAT + rb"\]|\{" + _FLAT + rb"\})?+",
    re.DOTALL,
)
"""A member's name and its value, if that is no deeper than one bracket."""
_NEXT = re.compile(rb"[ \t\r\n]*+,")
_CLOSE = re.compile(rb"[ \t\r\n]*+\}")


class _Member(NamedTuple):
    """A member of a JSON object: its name, decoded, and where its value is."""

    name: str
    begin: int
    end: int


class CallFields(NamedTuple):
    """What a body asks for. `model` is empty and `stream` None if it does not say them. `options`
    and `shift` are JSON, empty if they are not there.
    """

    model: str = ""
    stream: bool | None = None
    options: bytes = b""
    shift: bytes = b""


class _Exact(Struct):
    """The members by their exact names, not decoded."""

    model: Raw = Raw()
    stream: Raw = Raw()
    options: Raw = Raw()
    shift: Raw = Raw()


_EXACT = msgspec.json.Decoder(_Exact)
_NAMES = (b'"model"', b'"stream"')
_LOAD_NAMES = (b'"options"', b'"shift"')
_ESCAPE = b"\\u"
_LONG_S = "\u017f".encode()
"""A letter that is an s in another case."""
_STREAM = {b"true": True, b"false": False}
_POINTERS = ("stream", "options", "shift")
"""Members that in Ollama's requests are pointers or maps, which null takes back."""


def read_fields(body: bytes, *, any_case: bool) -> CallFields:
    """What the document of a call says (see `oq.dialects.documents`). `any_case`: names match in
    any case, as in Go; else one that is exact counts before those that are not.
    """
    found = _read_plain(body, any_case=any_case)
    if found is None:
        values = _scan(body, any_case=any_case)
        found = _Exact(*[Raw(values.get(name, b"")) for name in _Exact.__struct_fields__])
    return CallFields(
        _text(bytes(found.model)),
        _STREAM.get(bytes(found.stream)),
        bytes(found.options),
        bytes(found.shift),
    )


def read_name(body: bytes, members: Sequence[str], *, any_case: bool) -> str:
    """The text of the first of these members that has one, of the document of a request; empty if
    none has. A `model` is found in a body of any size, others in the first `SCANNED` bytes.
    """
    others = [name for name in members if name != "model"]
    if len(others) < len(members) and (model := read_fields(body, any_case=any_case).model):
        return model
    values = _scan(body, any_case=any_case) if others else {}
    return next((text for name in others if (text := _text(values.get(name, b"")))), "")


def _read_plain(body: bytes, *, any_case: bool) -> _Exact | None:
    """The members, if the names are written as everybody reads them; None if they may not be."""
    try:
        found = _EXACT.decode(body)
    except NOT_READ:
        return None
    if bytes(found.model) in (b"", b"null") or (any_case and _has_variants(body)):
        return None
    return found


def _has_variants(body: bytes) -> bool:
    """Whether one of the names may be there in another case, or escaped."""
    lower = body.lower()
    # Where a body is long nobody looks for what only a tester would write, nor for what only says
    # which task is to come next: the model could be behind what is scanned.
    names = _NAMES if len(body) > SCANNED else _NAMES + _LOAD_NAMES
    for name in names:
        if lower.count(name) != body.count(name):
            return True
    return len(body) <= SCANNED and (_ESCAPE in lower or _LONG_S in lower)


def _scan(body: bytes, *, any_case: bool) -> dict[str, bytes]:
    """The same of any body, member by member."""
    values: dict[str, bytes] = {}
    exact: set[str] = set()
    for member in _members(body[:SCANNED]):
        name = member.name.casefold()
        is_exact = name == member.name
        value = body[member.begin : member.end]
        if any_case and value == b"null":
            if name in _POINTERS:
                values.pop(name, None)
            continue
        if is_exact:
            exact.add(name)
        if any_case or is_exact or name not in exact:
            values[name] = value
    return values


def first_object(body: bytes) -> bytes:
    """The JSON object that the body begins with, as text that everybody can decode: in UTF-8, and
    without what comes behind it. Empty if it begins with none, or one that is too long.
    """
    text = body[:SCANNED]
    begin = _OPEN.match(text)
    if begin is None:
        return b""
    at = begin.end()
    for member in _members(text):
        at = member.end
    end = _CLOSE.match(text, at)
    return b"" if end is None else _utf8(text[begin.end() - 1 : end.end()])


def _members(body: bytes) -> Iterator[_Member]:
    """The members of the JSON object that the body begins with, up to where it cannot be read."""
    begin = _OPEN.match(body)
    at = None if begin is None else begin.end()
    while at is not None and (found := _MEMBER.match(body, at)) is not None:
        begins, ends = found.start(2), found.end()
        if found[2] is None:
            begins, ends = found.end(), _end_of_deep(body, found.end())
        yield _Member(_text(found[1]), begins, ends)
        more = _NEXT.match(body, ends)
        at = None if more is None else more.end()


def _end_of_deep(body: bytes, begin: int) -> int:
    """Where the value ends that begins here with a bracket."""
    depth, at = 1, begin + 1
    while depth and (bracket := _BRACKET.match(body, at)):
        at = bracket.end()
        depth += 1 if bracket[1] in (b"[", b"{") else -1
    return at


def _text(written: bytes) -> str:
    """The text of a JSON string; empty if it is none."""
    try:
        return msgspec.json.decode(_utf8(written), type=str)
    except NOT_READ:
        return ""


def _utf8(text: bytes) -> bytes:
    """The same JSON with U+FFFD for what is no text."""
    return readable(text.decode("utf-8", "replace").encode())
