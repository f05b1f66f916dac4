"""Lists of models of several servers as one list. Pure, and linear in their size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from msgspec import Raw

from oq.dialects.reading import sound
from oq.rules.model_names import full_name
from oq.rules.surrogates import readable
from oq.words.from_json import NOT_READ

Entries = list[tuple[str, Raw]]
"""The entries of a list, each with its name, as they were sent."""

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ENTRIES = msgspec.json.Decoder(list[Raw] | None)
_NAME = msgspec.json.Decoder(str)


class ListForm(NamedTuple):
    """How an API lists models: `member` of an object has the entries, and their member `name` is
    the model's name. `head` is what stands before it in the object.
    """

    member: str
    name: str
    head: bytes = b""


def entries_of(body: bytes, form: ListForm) -> Entries | None:
    """The entries of this list; None if it is none. What names no model is left out, and what not
    everybody can read is made readable: it would spoil the others.
    """
    try:
        said = _OBJECT.decode(readable(body))
        listed = _ENTRIES.decode(said[form.member]) or ()
    except (KeyError, *NOT_READ):
        return None
    entries = ((_name(entry, form.name), entry) for entry in map(sound, listed))
    return [(name, entry) for name, entry in entries if name]


def merged(lists: Iterable[Entries], form: ListForm) -> bytes:
    """One list of all these. Of several entries for one model it has the first."""
    entries: dict[str, Raw] = {}
    for each in lists:
        for name, entry in each:
            entries.setdefault(full_name(name), entry)
    body = b",".join(map(bytes, entries.values()))
    return b'{%b"%b":[%b]}' % (form.head, form.member.encode(), body)


def merge(bodies: Iterable[tuple[bytes, Callable[[str], bool]]], form: ListForm) -> bytes | None:
    """One list of those of these bodies that are lists; None if none is. Each has a function that
    says which of its models may be in it.
    """
    lists = [(entries_of(body, form), may) for body, may in bodies]
    kept = [
        [item for item in entries if may(item[0])] for entries, may in lists if entries is not None
    ]
    return merged(kept, form) if kept else None


def _name(entry: Raw, member: str) -> str:
    try:
        return _NAME.decode(_OBJECT.decode(entry)[member])
    except (KeyError, *NOT_READ):
        return ""
