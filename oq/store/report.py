"""The report of a salvage: which tasks were lost, and which were changed."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from oq.words.task import Status


class Finding(Struct, frozen=True):
    """A task that the damage has touched, and what became of it."""

    task_id: str
    what: str
    status: Status | None = None
    """The last that is known of it."""


class SalvageReport(Struct, frozen=True, kw_only=True):
    """What came of it. Commits are numbered; each carries one step of a task's life, or many."""

    kept: dict[Status, int]
    """How many tasks the new store has, by state."""
    lost: list[Finding]
    """Tasks of which there are traces, but not enough to keep them."""
    changed: list[Finding]
    """Tasks that are kept, but not as they were."""
    untraced: int
    """Tasks that were counted, and of which no trace is left."""
    may_run_again: int
    """How many of the pending and running tasks may have ended in what was lost."""
    missing_commits: list[tuple[int, int]]
    """The commits that cannot be read: the first and the last of each row of them."""
    found: int
    """The last commit that could be read."""
    acknowledged: int
    """The last commit that is known to have been acknowledged; 0 when that is not known."""
    damage: list[str]
    """The places that could not be read."""
    repaired: list[str]
    """The places where one flipped bit was flipped back, of which nothing is lost."""
    copy: str
    """Where the data is as it was before."""
    file: str
    """Where this report is."""

    @property
    def whole(self) -> bool:
        """Whether it is certain that nothing was lost."""
        lost = self.lost or self.changed or self.untraced or self.missing_commits
        return not (lost or self.may_run_again or self.damage)

    @property
    def dropped(self) -> int:
        """How many tasks are not in the new store, as far as that is known."""
        return len(self.lost) + self.untraced


_decode = msgspec.json.Decoder(SalvageReport).decode


def encode(report: SalvageReport) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def decode(content: bytes) -> SalvageReport:
    return _decode(content)
