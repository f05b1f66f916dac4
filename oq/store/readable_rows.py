"""Reads the indexes that retention goes by, and steps over what of them cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from oq.store.engine import Engine
from oq.store.keys import GONE, ID_BYTES, UNREAD
from oq.words.errors import StoreCorrupt

log = structlog.get_logger("oq.store")


def ended_rows(engine: Engine, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """The index of the ended tasks from this place on, as far as it can be read."""
    return _rows(engine, "ended", b"", 8 + ID_BYTES, start)


def gone_rows(engine: Engine) -> Iterator[tuple[bytes, bytes]]:
    """The same of the ids of removed tasks."""
    return _rows(engine, "meta", GONE, ID_BYTES)


def count_unread(engine: Engine) -> int:
    """How many results wait to be read, by the index."""
    return sum(mark == UNREAD for _, mark in ended_rows(engine))


def count_gone(engine: Engine) -> int:
    """How many removed tasks are known by their ids, by their rows."""
    return sum(1 for _ in gone_rows(engine))


def _rows(
    engine: Engine, family: str, prefix: bytes, size: int, start: bytes = b""
) -> Iterator[tuple[bytes, bytes]]:
    """The rows whose keys are this prefix and so many more bytes."""
    place: bytes | None = start or prefix
    past = prefix + b"\xff" * (size + 1)
    while place is not None:
        try:
            for key, value in engine.scan(family, place, past):
                yield key, value
                place = key + b"\0"
        except StoreCorrupt as error:
            why = str(error)
            log.error("a part of an index cannot be read", family=family, reason=why)  # noqa: TRY400
            place = _behind(engine, family, prefix, size, place)
        else:
            return


def _behind(engine: Engine, family: str, prefix: bytes, size: int, place: bytes) -> bytes | None:
    """Where the rows can be read again. What cannot is a block, and nothing says where it ends: so
    the place is searched for, as a number. What lies between two damaged blocks may be passed over.
    """
    past = prefix + b"\xff" * (size + 1)
    begin = int.from_bytes(place[len(prefix) :][:size].ljust(size, b"\0"), "big")

    def at(number: int) -> bytes:
        return prefix + number.to_bytes(size, "big")

    def is_readable(number: int) -> bool:
        try:
            next(engine.scan(family, at(number), past), None)
        except StoreCorrupt:
            return False
        return True

    leap = 1
    while begin + leap < 1 << (8 * size):
        if is_readable(begin + leap):
            break
        leap *= 2
    else:
        return None
    low, high = begin + leap // 2, begin + leap  # the second can be read, the first cannot
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_readable(middle) else (middle, high)
    return at(high)
