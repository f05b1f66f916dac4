"""Frames that differ in one text alone, as nearly all of a stream do."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from oq.words.from_json import NOT_READ

_TEXT = rb'"%b": ?("(?:[^"\\]|\\.)*")'
_read_text = msgspec.json.Decoder(str).decode


class Alike(NamedTuple):
    """The frames that begin and end so, and have nothing but a text in between."""

    begin: bytes
    end: bytes

    def text_in(self, frame: bytes) -> str | None:
        """The text of one of them; None if it is another frame, or its text is odd."""
        if not (frame.startswith(self.begin) and frame.endswith(self.end)):
            return None
        try:
            return _read_text(frame[len(self.begin) : len(frame) - len(self.end)])
        except NOT_READ:
            return None


def alike(frame: bytes, key: str) -> Alike | None:
    """Those that differ from this one in the text of this member alone. None if that cannot be
    found without doubt: the name may stand there twice, or be written in another way.
    """
    found = list(re.finditer(_TEXT % re.escape(key.encode()), frame))
    if len(found) != 1:
        return None
    begin, end = frame[: found[0].start(1)], frame[found[0].end(1) :]
    return None if b"\\" in begin or b"\\" in end else Alike(begin, end)
