"""How many bytes the bodies of all requests together may have while they are held in memory.

Each body is bounded by itself (`queue.max_payload`), and a thousand connections may each bring one.
A body counts byte by byte as it comes, so that to announce a large one costs the others nothing,
until it is on disk, passed on or refused.
"""

from __future__ import annotations

from oq.words.errors import Unavailable

ALWAYS = 64 * 1024
"""Bytes that a body may have however many are held: large ones do not keep small ones out. All
connections together hold `server.max_connections` times as many of these, and no more."""


class Inflight:
    """The account of all bodies. `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        """Bytes that are held now."""

    def hold(self) -> Held:
        """An account for one body: ``with inflight.hold() as held``."""
        return Held(self)


class Held:
    """The account of one body, closed at the end of its block."""

    __slots__ = ("_all", "size")

    def __init__(self, all_: Inflight) -> None:
        self._all = all_
        self.size = 0

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.free()

    def add(self, size: int) -> None:
        """Count so many more bytes. Unavailable if there is no room for them."""
        whole = self.size + size
        if whole > ALWAYS and self._all.held + size > self._all.limit:
            raise Unavailable(
                f"request bodies of {self._all.held} bytes are in memory already"
                " (server.max_inflight_bytes); try again later"
            )
        self.size = whole
        self._all.held += size

    def free(self) -> None:
        """Nothing of it is held any more."""
        self._all.held -= self.size
        self.size = 0
