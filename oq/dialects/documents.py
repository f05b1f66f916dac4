"""What oq reads of a call's body: a JSON document, whatever the body is.

A body that is compressed is read as what it says, and a form (multipart/form-data, RFC 7578) as an
object of its fields. Only oq reads this: the backend gets the very bytes. It is linear in the size
of the body, and bounded. What cannot be read is an empty document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from oq.dialects.inflating import Inflate, Unreadable, inflate_of
from oq.words.errors import PayloadTooLarge
from oq.words.head import Headers
from oq.words.task import Body

MAX_DOCUMENT = 256 * 1024 * 1024
"""Bytes that a compressed body may be once it is read, where nobody says less."""
MAX_RATIO = 100
"""Times the size of a compressed body that it may be once it is read. Texts and files that people
send are below 20; what is far above was made to take the time and the memory of who reads it."""
ANY_RATIO = 8 * 1024 * 1024
"""Bytes that it may be in any case, however small it is compressed."""
MAX_GLANCE = 64 * 1024
"""Bytes of a compressed body that are read where it is one of many, as in a list."""
MAX_PARTS = 1000
"""Parts of a form that are read."""
MAX_PART_HEAD = 16 * 1024
"""Bytes of the headers of a part."""
MAX_FIELD = 256 * 1024
"""Bytes of a field's text that are kept; what is longer is described as a file is."""

_UNREADABLE = b""
_PLAIN = (b"", b"identity")
_BOUNDARY = re.compile(rb';\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:[ \t]*form-data\b(.*)$", re.I | re.M)
_TYPE = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.I | re.M)
_NAME = re.compile(rb';\s*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_FILE = re.compile(rb';\s*filename=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
"""What servers take for true in a form."""


def document_of(body: Body) -> bytes:
    """The document of a task's body: of a task that is no call, its payload."""
    return body.payload if body.call is None else read_document(body.payload, body.headers)


def read_document(body: bytes, headers: Headers) -> bytes:
    """The document of a body that came with these headers, whose names are in lower case."""
    try:
        return read_bounded(body, headers, MAX_DOCUMENT)
    except PayloadTooLarge:
        return _UNREADABLE


def glance_at(body: Body) -> bytes:
    """The document of a task's body, for a list: empty if it is compressed and is not small."""
    if body.call is None:
        return body.payload
    small = len(body.payload) <= MAX_GLANCE or not is_compressed(body.headers)
    try:
        return read_bounded(body.payload, body.headers, MAX_GLANCE) if small else _UNREADABLE
    except PayloadTooLarge:
        return _UNREADABLE


def is_compressed(headers: Headers) -> bool:
    """Whether a body with these headers has to be inflated to be read."""
    return inflate_of(_said(headers, b"content-encoding")) is not None


def read_bounded(
    body: bytes, headers: Headers, limit: int, grow: Callable[[int], object] | None = None
) -> bytes:
    """The same of a body that has just come.

    PayloadTooLarge if it is compressed, and is more than `limit` bytes once it is not, or more than
    MAX_RATIO times its size. `grow` gets the number of bytes of each piece that is inflated; what
    it raises ends that.
    """
    kind = _said(headers, b"content-type")
    encoding = _said(headers, b"content-encoding")
    inflate = inflate_of(encoding)
    if inflate is not None:
        body = _inflated(inflate, body, limit, grow)
    elif encoding.strip().lower() not in _PLAIN:
        body = _UNREADABLE
    if kind[:20].lower().startswith(b"multipart/form-data"):
        return _form(body, kind)
    return body


def _said(headers: Headers, name: bytes) -> bytes:
    return next((value for each, value in reversed(headers) if each == name), b"")


def _inflated(
    inflate: Inflate, body: bytes, limit: int, grow: Callable[[int], object] | None
) -> bytes:
    pieces: list[bytes] = []
    size = 0
    dense = max(ANY_RATIO, MAX_RATIO * len(body))
    most = min(limit, dense)
    try:
        for piece in inflate(memoryview(body), most + 1):
            size += len(piece)
            if size > most:
                raise PayloadTooLarge(limit, ratio=MAX_RATIO if dense < limit else None)
            if grow is not None:
                grow(len(piece))
            pieces.append(piece)
    except Unreadable:
        return _UNREADABLE
    return b"".join(pieces)


def _form(body: bytes, kind: bytes) -> bytes:
    """A form as an object: a field is its text, a file is its name, its type and its size. A name
    that comes several times has a list.
    """
    named = _BOUNDARY.search(kind[:2000])
    if named is None:
        return _UNREADABLE
    fields: dict[str, list[Any]] = {}
    for head, begin, end in _parts(body, b"--" + (named[1] or named[2])):
        disposition = _DISPOSITION.search(head)
        name = disposition and _NAME.search(disposition[1])
        if disposition and name:
            file = _FILE.search(disposition[1])
            value = _value(head, body, begin, end, None if file is None else file[1] or file[2])
            fields.setdefault(_text(name[1] or name[2] or b""), []).append(value)
    if "stream" in fields:
        fields["stream"] = [str(fields["stream"][0]).strip().lower() in _TRUE]
    return msgspec.json.encode(
        {name: said[0] if len(said) == 1 else said for name, said in fields.items()}
    )


def _parts(body: bytes, dashes: bytes) -> list[tuple[bytes, int, int]]:
    """Each part: its headers, and where its content begins and ends."""
    parts: list[tuple[bytes, int, int]] = []
    place = 0 if body.startswith(dashes) else body.find(b"\r\n" + dashes) + 2
    if place == 1:
        return parts
    while len(parts) < MAX_PARTS:
        place += len(dashes)
        following = body.find(b"\r\n" + dashes, place)
        if following < 0:
            break  # the last part is cut off, or this was the end
        blank = body.find(b"\r\n\r\n", place, min(following + 4, place + MAX_PART_HEAD))
        if blank >= 0:
            parts.append((body[place:blank], min(blank + 4, following), following))
        place = following + 2
    return parts


def _value(head: bytes, body: bytes, begin: int, end: int, file: bytes | None) -> Any:
    if file is None and end - begin <= MAX_FIELD:
        return _text(body[begin:end])
    kind = _TYPE.search(head)
    said = {"filename": _text(file)} if file is not None else {}
    return {**said, "content_type": _text(kind[1]) if kind else "", "bytes": end - begin}


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
