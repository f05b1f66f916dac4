"""Idempotency keys: which task each stands for, on disk or on its way there."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from oq.store import Ledger
from oq.words.errors import Conflict, NotFound
from oq.words.receipts import Receipt
from oq.words.steps import Change


class Claim(Struct, frozen=True, gc=False):
    """What an idempotency key stands for; `receipt` while its task is on its way to the disk."""

    task_id: str
    fingerprint: bytes
    receipt: Receipt | None = None


class Claims:
    """The ledger knows the keys of stored tasks, and this the rest. A ledger may take its time to
    answer, so keys that land meanwhile are remembered: ``with claims:`` from the first `look_up` of
    some tasks to their last `take`.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._under_way: dict[str, Claim] = {}
        self._landed: dict[str, Claim] = {}
        self._deciding = 0

    def __enter__(self) -> None:
        self._deciding += 1

    def __exit__(self, *problem: object) -> None:
        self._deciding -= 1
        if not self._deciding:
            self._landed.clear()

    async def look_up(self, key: str, fingerprint: bytes) -> Claim | None:
        """The task that the key stands for, if it does. Conflict: for another one."""
        claim = self.current(key, fingerprint)
        if claim is not None:
            return claim
        stored = await self._ledger.claim(key)
        if stored is None:
            return None
        try:
            await self._ledger.state(stored.task_id)
        except NotFound:
            return None  # its task went without taking its key along
        return _checked(key, Claim(stored.task_id, stored.fingerprint), fingerprint)

    def current(self, key: str, fingerprint: bytes) -> Claim | None:
        """The same of a task that is under way, or was a moment ago."""
        claim = self._under_way.get(key) or self._landed.get(key)
        return None if claim is None else _checked(key, claim, fingerprint)

    def take(self, key: str, claim: Claim) -> None:
        """From now on the key stands for this task."""
        self._under_way[key] = claim

    def settle(self, changes: Iterable[Change]) -> None:
        """These tasks are on disk, or never will be."""
        for change in changes:
            key = change.state.terms.idempotency_key
            if key is not None:
                claim = self._under_way.pop(key)
                if self._deciding and claim.receipt is not None and claim.receipt.error is None:
                    self._landed[key] = Claim(claim.task_id, claim.fingerprint)


def _checked(key: str, claim: Claim, fingerprint: bytes) -> Claim:
    if claim.fingerprint != fingerprint:
        raise used_otherwise(key)
    return claim


def used_otherwise(key: str) -> Conflict:
    return Conflict(f"the idempotency key {key!r} belongs to a different task; use another key")
