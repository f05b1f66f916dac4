"""JSON of a backend, read as far as it can be: what is kept of an answer is read beside its bytes.

Beside what is JSON (RFC 8259) this reads what servers send now and then: ``NaN`` and ``Infinity``,
half a surrogate pair, bytes that are no UTF-8, and numbers that are larger than a double. Pure.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw

from oq.rules.surrogates import readable

Json = dict[str, Any]

MARK = b"\xef\xbb\xbf"
"""What a text may begin with that says that it is UTF-8 (RFC 8259, 8.1; the same for events)."""
UNREADABLE = object()
"""What is given for a text that is no JSON at all."""
MAX_DEPTH = 200
"""Levels of lists and objects that are kept of something that is nested too deeply to be written.
"""

_NOT_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)
_LONG = 300
"""Digits of an integer that is read as a double."""
_encode = msgspec.json.Encoder().encode


def beginning(first: bytes) -> bytes | None:
    """How a text begins behind a mark and blanks, of which these bytes are the first; None if no
    more than these has come.
    """
    return None if MARK.startswith(first) else first.removeprefix(MARK).lstrip() or None


def read(data: bytes | Raw) -> Any:
    """The value of this JSON; UNREADABLE if it is none. Its texts may have halves of pairs."""
    try:
        return msgspec.json.decode(data)
    except _NOT_JSON:
        pass
    try:
        text = bytes(data).removeprefix(MARK).decode("utf-8", "replace")
        return json.loads(text, parse_int=_integer)
    except _NOT_JSON:
        return UNREADABLE


def read_object(data: bytes | Raw) -> Json | None:
    """The object that this JSON is; None if it is something else, or cannot be read."""
    value = read(data)
    return value if isinstance(value, dict) else None


def lacks_end(data: bytes) -> bool:
    """Whether the value with which this text begins cannot be read to its end. Of one that is
    nested too deeply that is not known.
    """
    text = data.removeprefix(MARK).decode("utf-8", "replace").lstrip()
    try:
        json.JSONDecoder(parse_int=_integer, strict=False).raw_decode(text)
    except ValueError:
        return True
    except RecursionError:
        return False
    return False


def write(value: Any) -> bytes:
    """The JSON of what was read, for everybody to read: a number that is none is null, and half a
    surrogate pair is U+FFFD.
    """
    try:
        return _encode(value)
    except (UnicodeError, RecursionError):
        return _encode(_writable(value, MAX_DEPTH))


def with_halves(value: Any) -> bytes:
    """The same, but half a surrogate pair stays one: the other half may come yet."""
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return write(value)


def sound(raw: Raw) -> Raw:
    """A copy of this JSON: as it was sent, if everybody can read it, otherwise made readable."""
    try:
        json.loads(bytes(raw), parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = read(raw)
        return Raw(b"null" if value is UNREADABLE else write(value))
    return Raw(readable(bytes(raw)))


def whole_text(text: str) -> str:
    """The text with its surrogate pairs put together, and U+FFFD for each half that is alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def said_arguments(text: str) -> str:
    """The arguments of a tool call, in JSON. ``{}`` of a call that has none: models say nothing
    there, or ``null``.
    """
    return "{}" if text.strip() in ("", "null") else text


def count(value: Any) -> int:
    """A number of tokens: 7 of ``7`` and of ``7.0``; 0 of what is no such number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53:
        return 0
    return int(value)


def _writable(value: Any, depth: int) -> Any:
    match value:
        case str():
            return whole_text(value)
        case dict() if depth:
            return {whole_text(key): _writable(each, depth - 1) for key, each in value.items()}
        case list() if depth:
            return [_writable(each, depth - 1) for each in value]
        case dict() | list():
            return None
        case _:
            return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONG else float(digits)
