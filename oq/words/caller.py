"""Who asks: each request comes from a caller, and so does each verb of the queue."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """What a caller may do. There are no keys yet: everybody may do everything."""

    ADMIN = "admin"


class Caller(Struct, frozen=True, gc=False):
    """Who asks. `address` is where the request came from; None inside this process."""

    name: str = "local"
    role: Role = Role.ADMIN
    address: str | None = None


LOCAL = Caller()
"""The program itself that has the queue open."""
