"""Texts from files and from the standard input.

They are UTF-8, with or without a mark that says so. Windows writes others too, which are named.
"""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE

_MARKS = {
    BOM_UTF32_LE: "UTF-32",  # before UTF-16, with whose mark it begins
    BOM_UTF32_BE: "UTF-32",
    BOM_UTF16_LE: "UTF-16",
    BOM_UTF16_BE: "UTF-16",
}


class NotUtf8(ValueError):
    """A text in another encoding; the message names it, if it shows."""


def without_mark(data: bytes) -> bytes:
    """The first bytes of a text without the mark of UTF-8; NotUtf8 if they are of another kind."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            raise _other(encoding)
    if len(data) > 1 and (data[0] == 0) != (data[1] == 0):  # no mark, but an ASCII character
        raise _other("UTF-16")
    return data.removeprefix(BOM_UTF8)


def decoded(data: bytes) -> str:
    """The text; NotUtf8 if it is none."""
    try:
        return without_mark(data).decode()
    except UnicodeDecodeError as error:
        raise NotUtf8(
            f"it is not UTF-8 text (byte {error.start} is {data[error.start]:#04x})"
        ) from None


def _other(encoding: str) -> NotUtf8:
    return NotUtf8(f"it is {encoding} text, and oq reads UTF-8: save it as that")
