"""Idempotency keys: which task each stands for, on disk or on its way there."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from oq.rules import scope
from oq.store import Ledger
from oq.words.errors import Conflict, NotFound
from oq.words.receipts import Receipt
from oq.words.steps import Change
from oq.words.terms import Terms


class Claim(Struct, frozen=True, gc=False):
    """What an idempotency key stands for; `receipt` while its task is on its way to the disk."""

    task_id: str
    fingerprint: bytes
    receipt: Receipt | None = None


class Claims:
    """The ledger knows the keys of stored tasks, and this the rest, by the same names (see
    `oq.rules.scope.claim_name`). A ledger may take its time to answer, so keys that land meanwhile
    are remembered: ``with claims:`` from the first `look_up` of some tasks to their last `take`.
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

    async def look_up(self, terms: Terms, fingerprint: bytes) -> Claim | None:
        """The task that the key in these terms stands for, if it does. Conflict: for another
        one.
        """
        claim = self.current(terms, fingerprint)
        name = scope.claim_name(terms)
        if claim is not None or name is None:
            return claim
        stored = await self._ledger.claim(name)
        if stored is None:
            return None
        try:
            await self._ledger.state(stored.task_id)
        except NotFound:
            return None  # its task went without taking its key along
        return _checked(terms, Claim(stored.task_id, stored.fingerprint), fingerprint)

    def current(self, terms: Terms, fingerprint: bytes) -> Claim | None:
        """The same of a task that is under way, or was a moment ago."""
        name = scope.claim_name(terms)
        if name is None:
            return None
        claim = self._under_way.get(name) or self._landed.get(name)
        return None if claim is None else _checked(terms, claim, fingerprint)

    def take(self, terms: Terms, claim: Claim) -> None:
        """From now on the key in these terms, if there is one, stands for this task."""
        name = scope.claim_name(terms)
        if name is not None:
            self._under_way[name] = claim

    def settle(self, changes: Iterable[Change]) -> None:
        """These tasks are on disk, or never will be."""
        for change in changes:
            name = scope.claim_name(change.state.terms)
            if name is not None:
                claim = self._under_way.pop(name)
                if self._deciding and claim.receipt is not None and claim.receipt.error is None:
                    self._landed[name] = Claim(claim.task_id, claim.fingerprint)


def _checked(terms: Terms, claim: Claim, fingerprint: bytes) -> Claim:
    if claim.fingerprint != fingerprint:
        raise used_otherwise(terms)
    return claim


def used_otherwise(terms: Terms) -> Conflict:
    key = terms.idempotency_key
    return Conflict(f"the idempotency key {key!r} belongs to a different task; use another key")
