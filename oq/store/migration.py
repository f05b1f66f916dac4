"""The format of a store, and how one of an older format becomes one of today's.

A migration rewrites the records in place, some thousand in a batch. The first batch says that the
store has today's format and is being migrated, so that no older oq opens it any more; the last one
says that it has been. Wherever it ends between them, the next opening begins it again: a record
that has been rewritten already is only rewritten once more. What cannot be read stays as it is, and
is shown as damaged like any other such record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from oq.rules.place import place_of
from oq.store import keys
from oq.store.decoding import UNDECODABLE
from oq.store.engine import Engine, Put
from oq.store.errors import newer_format
from oq.store.format_one import state_of
from oq.store.keys import FORMAT, ID_BYTES, Meta
from oq.words.errors import StoreCorrupt
from oq.words.task import Status

log = structlog.get_logger("oq.store")

BATCH = 2000
"""Tasks of which the records are rewritten at once."""

_PAST_ANY_ID = b"\xff" * (ID_BYTES + 1)
_encode = msgspec.msgpack.Encoder().encode


class _Stamp(Struct):
    """What every format's record of the store says, whatever else is in it."""

    format: int = 1
    oq: str = ""


_decode_stamp = msgspec.msgpack.Decoder(_Stamp).decode


def fresh_meta() -> Meta:
    """The record of a store that has nothing in it yet."""
    return Meta(oq=_version(), recounted=True)


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # 40 ms; few stores are new

    try:
        return version("oq")
    except PackageNotFoundError:  # it runs from its source, without having been installed
        return ""


def check_format(record: bytes) -> None:
    """StoreError when the record of the store says that this oq is too old for it."""
    with suppress(*UNDECODABLE):  # who decodes all of it will say so
        stamp = _decode_stamp(record)
        if stamp.format > FORMAT:
            raise newer_format(stamp.format, FORMAT, stamp.oq)


def migrated(engine: Engine, meta: Meta) -> Meta:
    """The record of the store once all others are of today's format. StoreFull, or StoreCorrupt
    when it is so damaged that the tasks cannot be listed: the next opening goes on.
    """
    if meta.format == FORMAT and not meta.migrating:
        return meta
    before = meta.format
    meta = replace(meta, format=FORMAT, oq=fresh_meta().oq, migrating=True)
    log.info("migrating the data directory", tasks=sum(meta.counts.values()), format=FORMAT)
    meta = _write(engine, meta, [])
    for rows in _batches(engine):
        meta = _write(engine, meta, [put for row in rows for put in _rewritten(*row)])
    meta = _write(engine, replace(meta, migrating=False), [])
    log.info("migrated the data directory", before=before, format=FORMAT)
    return meta


def _write(engine: Engine, meta: Meta, puts: list[Put]) -> Meta:
    """Never are two batches on their way to the disk (see `oq.store.wal`)."""
    meta = replace(meta, commit=meta.commit + 1)
    engine.write([*puts, ("meta", keys.META_KEY, _encode(meta))])
    engine.sync(meta.commit)
    return meta


def _batches(engine: Engine) -> Iterator[list[tuple[bytes, bytes]]]:
    """The states of all tasks; where they cannot be scanned, one by one by the index. Nothing is
    left open in between: RocksDB does not close under an iterator.
    """
    begin = b""
    try:
        while rows := list(islice(engine.scan("state", begin, _PAST_ANY_ID), BATCH)):
            yield rows
            begin = rows[-1][0] + b"\0"
    except StoreCorrupt:
        listed = iter([key for status in Status for key in _listed(engine, status, begin)])
        while some := list(islice(listed, BATCH)):
            yield [row for key in some for row in _row(engine, key)]


def _listed(engine: Engine, status: Status, begin: bytes) -> Iterator[bytes]:
    letter = keys.status_prefix(status)
    for name, _ in engine.scan("status", letter + begin, letter + _PAST_ANY_ID):
        yield name[1:]


def _row(engine: Engine, key: bytes) -> Iterator[tuple[bytes, bytes]]:
    with suppress(StoreCorrupt):
        record = engine.get("state", key)
        if record is not None:
            yield key, record


def _rewritten(key: bytes, record: bytes) -> Iterator[Put]:
    with suppress(*UNDECODABLE):
        state = state_of(record)
        yield "state", key, _encode(state)
        if state.status is Status.PENDING:
            line = _encode(place_of(state))
            yield "status", keys.status_key(state.status, key), line
