"""Task ids: UUIDv7 strings that only ever grow, so that their order is the order of submission."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils import uuid7

_BELOW_TIME = 80
"""The bits of an id below its milliseconds."""
_BELOW = (1 << _BELOW_TIME) - 1

_LAST_GROUP = 48
"""The bits of the last group of its digits."""
_LAST = (1 << _LAST_GROUP) - 1

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

NIL = "00000000-0000-0000-0000-000000000000"


class IdSource:
    """Makes ids that are greater than each one before, and than `last` (from an earlier run),
    whatever the clock does. RFC 9562, section 6.2, asks for this and leaves the way open.
    """

    def __init__(self, last: str = NIL) -> None:
        self._last = UUID(last).int
        self._high, self._text = -1, ""  # what is left of the last group, and how it is written

    def next(self, now: datetime) -> str:
        milliseconds = int(now.timestamp() * 1e3)
        if milliseconds <= self._last >> _BELOW_TIME:
            self._last += 1  # its low bits are random: there is room for 2**62 of these
        else:
            # The time is put in here: how uuid7 is told one depends on the version of uuid-utils.
            self._last = milliseconds << _BELOW_TIME | uuid7().int & _BELOW
        high = self._last >> _LAST_GROUP
        if high != self._high:
            self._high, self._text = high, str(UUID(int=self._last))[:-12]
        return f"{self._text}{self._last & _LAST:012x}"


def time_of(task_id: str) -> datetime:
    """When it was made, by the clock of that time; never before those that were made earlier."""
    return datetime.fromtimestamp((UUID(task_id).int >> _BELOW_TIME) / 1000, UTC)


def is_id(text: str) -> bool:
    """Whether the text can be a task's id at all."""
    return _ID.fullmatch(text) is not None
