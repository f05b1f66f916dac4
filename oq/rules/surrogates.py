"""JSON as JavaScript makes it of a text that was cut in the middle of a character. Pure.

Half a surrogate pair, as in ``"\\ud83e"``, is JSON (RFC 8259, 8.2) but no text. Ollama, like all
that is written in Go, reads U+FFFD instead; msgspec reads none of it.
"""

from __future__ import annotations

import re

_MAYBE = re.compile(rb"\\u[dD][89a-fA-F]")
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = re.compile(b"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_BACKSLASH, _ASIDE = rb"\\", b"\0\0"
"""An escaped backslash, which begins no escape; what stands for it meanwhile is in no JSON."""


def readable(body: bytes) -> bytes:
    """The same JSON with U+FFFD for each half of a pair. Every other byte stays in its place."""
    if not _MAYBE.search(body) or b"\0" in body:
        return body
    alone = body.replace(_BACKSLASH, _ASIDE)
    return _HALF.sub(rb"\\ufffd", alone).replace(_ASIDE, _BACKSLASH)
