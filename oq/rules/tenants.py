"""Which tenant a task is of: the fairness between tenants is told by it."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from oq.words.from_json import NOT_READ
from oq.words.task import MAX_TENANT

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_NAME = msgspec.json.Decoder(str | int)


def tenant_of(metadata: bytes | None, by: str | None) -> str:
    """The tenant in the field `by` of a task's metadata, a JSON object. ``""`` if it names none, as
    a text or as a whole number, or if nobody asks for it (None).
    """
    if by is None or metadata is None:
        return ""
    if by.encode() not in metadata and b"\\" not in metadata:  # mostly it is not looked at
        return ""
    try:
        named = _OBJECT.decode(metadata).get(by)
        return "" if named is None else str(_NAME.decode(named))[:MAX_TENANT]
    except NOT_READ:
        return ""
