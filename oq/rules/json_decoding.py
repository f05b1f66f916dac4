"""JSON from outside, decoded: whatever is wrong with it is said in the words of a task's fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw, UnsetType

from oq.rules.fields import plain, unknown_field
from oq.rules.json_size import without_strings
from oq.words.errors import InvalidTask

T = TypeVar("T")

MOST_DIGITS = 4300
"""Digits of an integer that Python reads."""

_DIGITS = b"0123456789"
_FAR = re.compile(rb"[eE]\+?[0-9]{3}|(?<![0-9])[0-9]{300}")
"""What a number must contain to be out of a double's range. Of a long run of digits only the first
is looked at as a beginning. To count the digits shows for many texts that there is no such number,
and is ten times as fast."""
_FAR_NUMBER = re.compile(
    rb"(?<![-+.0-9eE])-?[0-9]++(?:\.[0-9]++)?[eE]\+?[0-9]{3}[0-9]*+"
    rb"|(?<![-+.0-9eE])-?[0-9]{300}[0-9]*+(?:\.[0-9]++(?:[eE][-+]?[0-9]++)?|[eE][-+]?[0-9]++)"
)
"""Such a number, whole; one that is an integer is no double, and has a bound of its own."""
_LONG_INTEGER = re.compile(rb"(?<![-+.0-9eE])-?[0-9]{%d}" % (MOST_DIGITS + 1))
_NUMBERS = msgspec.json.Decoder(list[float])

_FEW_DIGITS = 4
"""With less than these no number is that large."""

_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def decode(
    decoder: Callable[[bytes | Raw], T], body: bytes | Raw, *, any_number: bool = False
) -> T:
    """Decode JSON from outside: whatever is wrong with it becomes an InvalidTask, which names the
    field. `any_number` lets numbers pass that no double can hold.
    """
    try:
        # msgspec looks at no text and no number that it skips; who reads the task will.
        str(body, "utf-8")
        decoded = decoder(body)
        if not any_number and _is_far(body):
            _check_numbers(without_strings(body))
        return decoded  # noqa: TRY300 - what the numbers raise is translated, too
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        unknown = unknown_field(reason, getattr(getattr(decoder, "__self__", None), "type", None))
        raise InvalidTask(where.rstrip("`").lstrip("."), unknown or plain(reason)) from None
    except msgspec.DecodeError as error:
        raise InvalidTask("", f"this is not JSON: {error}") from None
    except UnicodeDecodeError:
        raise InvalidTask("", "this is not JSON: it is not UTF-8") from None
    except RecursionError:
        raise InvalidTask("", "the JSON is nested too deeply") from None


def _check_numbers(text: bytes) -> None:
    """Raise what msgspec would if it read the numbers in here."""
    if _LONG_INTEGER.search(text):
        raise msgspec.ValidationError("Integer value out of range")
    _NUMBERS.decode(b"[%b]" % b",".join(_FAR_NUMBER.findall(text)))


def _is_far(body: bytes | Raw) -> bool:
    """Whether there may be a number in it that is out of a double's range."""
    if len(body) - len(bytes(body).translate(None, _DIGITS)) < _FEW_DIGITS:
        return False
    return bool(_FAR.search(body))


def decode_object(field: str, value: Raw | UnsetType) -> bytes | None:
    """The JSON object in `value`, as bytes; None for null and for nothing."""
    if isinstance(value, UnsetType) or bytes(value) == b"null":
        return None
    document = bytes(value)
    try:
        decode(_OBJECT.decode, document)
    except InvalidTask as error:
        raise InvalidTask(field, error.reason) from None
    return document
