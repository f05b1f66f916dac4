"""RocksDB's write batches, as they stand in the write-ahead log.

A batch is a sequence number (8 bytes), a count (4 bytes), and operations: a tag, the family's
number, the key, and with a put the value, each of the last two with its length before it.
`db/write_batch.cc` of RocksDB describes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec

from oq.rules.place import Place
from oq.rules.stream_log import StreamLog
from oq.store.decoding import UNDECODABLE
from oq.store.format_one import PlaceOne, state_of
from oq.store.keys import ID_BYTES, KEPT, LEARNT, META_KEY, OUTBOX, UNREAD, Meta, is_gone_key
from oq.words.task import Body

HEAD = 12
DELETE, PUT = 4, 5
_META = bytes([len(META_KEY)]) + META_KEY
_decode_meta = msgspec.msgpack.Decoder(Meta).decode

LETTERS = b"prcfx"
Looks = Callable[[bytes, bytes], bool]
"""Whether this key and this value look like those of a family."""


def _decodes(decode: Callable[[bytes], object]) -> Looks:
    def looks(key: bytes, value: bytes) -> bool:
        with suppress(*UNDECODABLE):
            decode(value)
            return True
        return False

    return looks


def _is_meta(key: bytes, value: bytes) -> bool:
    return key == META_KEY or key[:1] in (KEPT, LEARNT, OUTBOX) or is_gone_key(key)


_LOOKS: tuple[tuple[str, Looks], ...] = (
    ("meta", _is_meta),
    ("ended", lambda key, value: value in (b"", UNREAD) and len(key) == ID_BYTES + 8),
    ("status", lambda key, value: value == b"" and len(key) == ID_BYTES + 1),
    ("keys", _decodes(msgspec.msgpack.Decoder(tuple[str, bytes]).decode)),
    ("state", _decodes(state_of)),
    ("body", _decodes(msgspec.msgpack.Decoder(Body).decode)),
    ("stream", _decodes(msgspec.msgpack.Decoder(StreamLog).decode)),
    ("status", _decodes(msgspec.msgpack.Decoder(Place).decode)),
    ("status", _decodes(msgspec.msgpack.Decoder(PlaceOne).decode)),
    ("result", lambda key, value: True),
)
"""In this order: what looks like one of these families looks like none of those before it."""
_ID = rb"(.{6}[\x70-\x7f].[\x80-\xbf].{7})"
_STATE_PUT = re.compile(rb"\x05.\x10" + _ID, re.DOTALL)
_STATUS_PUT = re.compile(rb"\x05.\x11([prcfx])" + _ID, re.DOTALL)

Operation = tuple[int, bytes, bytes | None]
"""The number of a family, a key, and its new value; None deletes it."""


class _NotABatch(Exception):
    """These bytes do not go on as a batch does."""


def operations(batch: bytes) -> Iterator[Operation]:
    """What the batch does, in order, as far as it can be read."""
    at = HEAD
    try:
        while at < len(batch):
            tag = batch[at]
            family, at = _number(batch, at + 1)
            key, at = _text(batch, at)
            if tag == PUT:
                value, at = _text(batch, at)
                yield family, key, value
            elif tag == DELETE:
                yield family, key, None
            else:
                return
    except _NotABatch:
        return


def commit_of(batch: bytes) -> int | None:
    """The commit number of a batch. Its meta record is the last thing in it; None without one."""
    at = batch.rfind(_META)
    if at < 0:
        return None
    try:
        value, _ = _text(batch, at + len(_META))
        return _decode_meta(value).commit
    except (_NotABatch, *UNDECODABLE):
        return None


def _text(batch: bytes, at: int) -> tuple[bytes, int]:
    length, at = _number(batch, at)
    if at + length > len(batch):
        raise _NotABatch
    return batch[at : at + length], at + length


def _number(batch: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first."""
    number = shift = 0
    while at < len(batch) and shift < 64:
        byte = batch[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7
    raise _NotABatch


def tasks_named(damaged: bytes) -> dict[bytes, bytes]:
    """The keys of the tasks of which a damaged batch still speaks, each with the letters of the
    states that it puts it in (see `oq.store.keys`), as far as they can be read.
    """
    found = {match[1]: b"" for match in _STATE_PUT.finditer(damaged)}
    for match in _STATUS_PUT.finditer(damaged):
        found[match[2]] = found.get(match[2], b"") + match[1]
    return found


def family_of(key: bytes, value: bytes) -> str:
    """The family of a put, by its looks: for when no manifest says which number is which."""
    return next(family for family, looks in _LOOKS if looks(key, value))
