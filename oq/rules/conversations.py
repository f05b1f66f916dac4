"""Which backend served a conversation last: it need not read again what it has read of it.

A conversation is known by a number that is made of what names it, and of no more than that: neither
the name nor a text can be read off it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from oq.rules.place import Place
from oq.rules.slots import BackendSlots
from oq.words.from_json import NOT_READ

_T = TypeVar("_T")

HEADERS = (b"x-oq-session", b"session-id", b"x-session-id", b"x-session-affinity")
"""The headers of a call that name its conversation. The first one that is there counts."""
BYTES = 6
"""Of the number: two of a million conversations are taken for one in one case of a thousand."""


class _Part(Struct):
    text: str = ""


_Text = str | list[_Part] | None


class _Message(Struct):
    role: str = ""
    content: _Text = None


class _Document(Struct):
    """Each member is read by itself: one that is odd is none, and the others count."""

    prompt_cache_key: Raw = Raw()
    system: Raw = Raw()
    instructions: Raw = Raw()
    messages: Raw = Raw()
    input: Raw = Raw()


_DOCUMENT = msgspec.json.Decoder(_Document)
_MESSAGE = msgspec.json.Decoder(_Message)
_MESSAGES = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(_Text)
_STRING = msgspec.json.Decoder(str)


def conversation_of(headers: Iterable[tuple[bytes, bytes]], document: bytes) -> int:
    """The conversation of a call with these headers, whose names are in lower case, and with this
    document: by its name, else by its first messages. 0 if it is of none.
    """
    named = dict(reversed([*headers]))
    for header in HEADERS:
        if name := named.get(header, b"").strip():
            return _number(b"name", name)
    return conversation_in(document)


def conversation_in(document: bytes) -> int:
    """The same of a document alone. It is linear in the size of that."""
    try:
        said = _DOCUMENT.decode(document)
    except NOT_READ:
        return 0
    if name := _read(_STRING, said.prompt_cache_key):
        return _number(b"name", name.encode())
    first = _first_messages(said)
    return _number(b"messages", *first) if first else 0


def _read(decoder: msgspec.json.Decoder[_T], written: Raw) -> _T | None:
    """The value that is written there; None if it is none of those that are read here."""
    try:
        return decoder.decode(written)
    except NOT_READ:
        return None


def _first_messages(said: _Document) -> list[bytes]:
    """What the model is told first, up to the first message of a user; nothing if there is none.
    Only texts count: what else stands beside them may be another thing each time.
    """
    first = [_text(_read(_TEXT, one)) for one in (said.system, said.instructions) if bytes(one)]
    if text := _read(_STRING, said.input):
        return [*first, text.encode()]
    for written in (said.input, said.messages):
        if told := _up_to_user(_read(_MESSAGES, written) or []):
            return first + told
    return []


def _up_to_user(messages: list[Raw]) -> list[bytes]:
    """Roles and texts up to the first message of a user; nothing if there is none."""
    told: list[bytes] = []
    for one in messages:
        message = _read(_MESSAGE, one)
        if message is None:  # it may be the user's
            return []
        told += message.role.encode(), _text(message.content)
        if message.role == "user":
            return told
    return []


def _text(content: _Text) -> bytes:
    if isinstance(content, list):
        content = "".join(part.text for part in content)
    return (content or "").encode()


def _number(*parts: bytes) -> int:
    digest = blake2b(digest_size=BYTES)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return int.from_bytes(digest.digest()) or 1


class Conversations:
    """Of the last `most` conversations, each with one model, the backend that served them last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._last: OrderedDict[tuple[int, str], BackendSlots] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def last(self, place: Place) -> BackendSlots | None:
        """The backend that served the conversation of this task last, if that is known."""
        return self._last.get((place.conversation, place.model))

    def started(self, place: Place, backend: BackendSlots) -> None:
        """A task with this place starts on this backend."""
        key = place.conversation, place.model
        self._last[key] = backend
        self._last.move_to_end(key)
        if len(self._last) > self._most:
            self._last.popitem(last=False)

    def failed(self, place: Place, backend: BackendSlots) -> None:
        """It was not served there: the next task of its conversation need not go there."""
        if self.last(place) is backend:
            del self._last[place.conversation, place.model]
