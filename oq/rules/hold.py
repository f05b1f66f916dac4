"""A backend that is busy gets nothing for a moment."""

from __future__ import annotations

from msgspec import Struct


class Hold(Struct, frozen=True):
    """It gets nothing until then, in seconds of a steady clock."""

    reason: str
    until: float
