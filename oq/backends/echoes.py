"""Whether an error may only repeat what its caller wrote.

Servers repeat the names of tools, and values that they refuse. What one caller writes must not
decide how the calls of others are made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

WORD = re.compile(r"[\w-]+")


def has_phrase(written: object, phrase: str) -> bool:
    """Whether a text or a name in this JSON value has the phrase, which is in lower case."""
    return any(phrase in text.lower() for text in _texts(written))


def has_word(written: object, words: frozenset[str]) -> bool:
    """Whether a text or a name in this JSON value has one of the words, which are in lower case."""
    return any(
        found[0] in words for text in _texts(written) for found in WORD.finditer(text.lower())
    )


def _texts(written: object) -> Iterator[str]:
    rest = [written]
    while rest:
        match rest.pop():
            case str() as text:
                yield text
            case dict() as members:
                rest += members
                rest += members.values()
            case list() as items:
                rest += items
            case _:
                pass
