"""Reads the write-ahead logs of a damaged store, and finds what is missing in them.

Every batch has a commit number, one more than the one before: so what is missing is known by its
number, and often what the damage has left of it names the tasks that it was about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from oq.store.batches import LETTERS, commit_of, operations, tasks_named
from oq.store.keys import ID_BYTES
from oq.store.logfile import Entry, entries, write


@dataclass
class SalvagedLog:
    """Read with `read`, oldest log first."""

    commits: list[int] = field(default_factory=list)
    """Those that can be read, in order."""
    damage: list[str] = field(default_factory=list)
    """The places that cannot be read."""
    repaired: list[str] = field(default_factory=list)
    """The places where one bit was flipped back."""
    named: dict[bytes, bytes] = field(default_factory=dict)
    """The tasks that damaged batches name, with the letters of the states that they put them in;
    without those of which a later batch says how they stand.
    """
    settled: set[bytes] = field(default_factory=set)
    """The tasks of which a batch behind the last gap says how they stand."""
    _tail: list[tuple[str, bytes]] = field(default_factory=list)
    """The damage with no good batch behind it yet: where, and the bytes."""

    def read(self, log: Path) -> Iterator[bytes]:
        """The batches of the log that can be read and that follow each other."""
        for entry in entries(log):
            commit = None if entry.content is None else commit_of(entry.content)
            if entry.content is None:
                place = f"{log.name}, from byte {entry.start}: {len(entry.raw)} bytes"
                self._tail.append((place, entry.raw))
            elif commit is None or not self.commits or commit > self.commits[-1]:
                self._note_batch(log, entry, entry.content, commit)
                yield entry.content
            else:
                self._tail.append((f"{log.name}, from byte {entry.start}: an older batch", b""))

    def rewrite(self, logs: Iterable[Path]) -> None:
        """Put in the place of each log one of what can be read of it."""
        for log in logs:
            better = log.with_suffix(".mended")
            write(better, self.read(log))
            better.rename(log)

    def gaps(self, base: int | None, acknowledged: int) -> list[tuple[int, int]]:
        """The commits that are in none of the logs, nor in the tables, which hold all up to `base`
        (None: that cannot be read): the first and the last of each row of them.
        """
        known = self.commits if base is None else [base, *(c for c in self.commits if c > base)]
        if known and acknowledged > known[-1]:
            known = [*known, acknowledged + 1]
        pairs = pairwise(known)
        return [(before + 1, after - 1) for before, after in pairs if after > before + 1]

    def include_tail(self) -> None:
        """Count what is damaged behind the last good batch, too: it was acknowledged. Otherwise it
        is what a crash left of a batch of which nobody had been told.
        """
        for place, raw in self._tail:
            self.damage.append(place)
            for key, letters in tasks_named(raw).items():
                self.named[key] = self.named.get(key, b"") + letters
        self._tail = []

    def _note_batch(self, log: Path, entry: Entry, batch: bytes, commit: int | None) -> None:
        if entry.repaired:
            self.repaired.append(f"{log.name}, from byte {entry.start}: one bit")
        if commit is not None:
            if self.commits and commit > self.commits[-1] + 1:
                self.settled.clear()
            self.commits.append(commit)
        self.include_tail()
        for _, key, _ in operations(batch):
            if len(key) == ID_BYTES + 1 and key[0] in LETTERS:
                self.settled.add(key[1:])
                self.named.pop(key[1:], None)
