"""Rows for an actor that follows the steps of tasks: kept with the step, until they are worked off.

An outbox says which rows a step leaves for its actor. The ledger keeps a row in the very commit of
its step. So whatever happens to the process in between, the actor finds the row at the next start,
and what it does with it happens at least once (`oq.store.ledger` says how to use an outbox).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from oq.words.steps import Step


class Outbox(Struct, frozen=True):
    """`rows` is a pure function: what a step leaves for the actor, often nothing. A row has all
    that the actor needs, because the task may be deleted before its turn comes, and is small: some
    thousand bytes at most.

    `name` (ASCII) is on disk with every row, so it stays the same for ever.
    """

    name: str
    rows: Callable[[Step], Iterable[bytes]]
