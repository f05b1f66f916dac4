"""JSON as JavaScript makes it of a text that was cut in the middle of a character. Pure.

Half a surrogate pair, as in ``"\\ud83e"``, is JSON (RFC 8259, 8.2) but no text. Ollama, like all
that is written in Go, reads U+FFFD instead; msgspec reads none of it.
"""

from __future__ import annotations

import re

_MAYBE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\."  # another escape: what follows an escaped backslash is none
)


def readable(body: bytes) -> bytes:
    """The same JSON with U+FFFD for each half of a pair. Every other byte stays in its place."""
    if not _MAYBE.search(body):
        return body
    return _ESCAPES.sub(lambda found: rb"\ufffd" if found["half"] else found[0], body)
