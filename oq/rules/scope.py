"""What a caller may see and change: the one place that decides it.

Every request carries its `Caller` to the verbs of the queue (`oq.queue.raw`). With a submit it goes
on to admission, which has the task marked as the caller's own (`mark_owner`) and its idempotency
key looked up among those of its owner (`claim_name`). Listings, counts and bulk wishes are narrowed
to what the caller may see (`narrow`), and so are single tasks and events (`may_see`).

There are no keys yet: everybody may do everything, and tasks have no owners. An owner is one more
field of `oq.words.terms.Terms`, which `mark_owner` sets and `owner_of` and `claim_name` read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from oq.words.caller import Caller, Role
from oq.words.terms import Terms

if TYPE_CHECKING:
    from oq.rules.filters import TaskFilter


def mark_owner(terms: Terms, caller: Caller) -> Terms:
    """The terms of a task that this caller submits. Tasks have no owners yet, so they are the same
    whoever submits it.
    """
    return terms


def owner_of(terms: Terms) -> str | None:
    """The name of the caller whose task it is; None if it has no owner, as no task has one yet."""
    return None


def claim_name(terms: Terms) -> str | None:
    """The name under which the ledger keeps what the idempotency key of a task stands for; None if
    the task has no key.

    It is on disk, and is made of the terms alone, so that the name is known when the task is
    removed. Tasks have no owners yet, so it is the key itself. With owners it is made of both: two
    owners may use one key for different tasks. Keys are printable ASCII, so a line feed between the
    two makes a name that no key has.
    """
    return terms.idempotency_key


def sees_all(caller: Caller) -> bool:
    """Whether it may see the tasks of everybody, and those that have no owner."""
    return caller.role is Role.ADMIN


def may_see(owner: str | None, caller: Caller) -> bool:
    """Whether it may see, and change, a task with this owner."""
    return sees_all(caller) or owner == caller.name


def narrow(filter: TaskFilter, caller: Caller) -> TaskFilter:
    """The filter without the tasks that this caller may not see."""
    return filter if sees_all(caller) else replace(filter, seen_by=caller)
