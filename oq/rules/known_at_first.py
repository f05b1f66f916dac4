"""What is known of how many tasks a backend serves at once, before it has served any."""

from __future__ import annotations

from oq.rules.concurrency import Concurrency
from oq.words.views import BackendFacts, SlotsSource

GUESSED = 4
"""Tasks that a backend gets at once at first if it does not say how many it serves."""
MOST_GUESSED = 16
"""The most that it is tried with."""


class KnownAtFirst:
    """Of one backend that gets `most` at most. `source` is how it is known, and `sure` the number
    of tasks of a model that it works on at once, if that needs no proof.
    """

    __slots__ = ("anew", "most", "source", "sure", "told")

    def __init__(self, most: int, source: SlotsSource, sure: int | None = None) -> None:
        self.most = most
        self.source: SlotsSource = source
        self.sure = sure
        self.told: int | None = None
        """How many it says itself that it serves at once: of one model, if it has several."""
        self.anew = False
        """Whether it was restarted since it told its number last: it may have none to tell now."""

    @property
    def limit(self) -> int:
        """How many it gets at most, as far as is known."""
        return self.most if self.told is None else min(self.told, self.most)

    def note(self, facts: BackendFacts) -> bool:
        """What it says of itself; whether that is another number than before. If it says none, the
        last one holds until it was restarted, and is not still without a model to tell it of.
        """
        if self.source not in ("guessed", "told"):
            return False
        silent = facts.slots is None
        if silent and (not self.anew or facts.incomplete or facts.loaded == ()):
            return False
        before, self.anew = self.told, False
        self.told = None if facts.slots is None else max(1, facts.slots)
        self.source = "guessed" if self.told is None else "told"
        return self.told != before

    def concurrency(self) -> Concurrency:
        """Of a backend, or of a load group, that has served nothing yet."""
        if self.sure is not None:
            return Concurrency(min(self.sure, self.most), learns=False)
        match self.source:
            case "set":
                return Concurrency(self.most, learns=False)
            case "told":
                concurrency = Concurrency(self.most)
                concurrency.tell(self.limit)
                return concurrency
            case "guessed":
                return Concurrency(min(self.most, MOST_GUESSED), GUESSED)
            case "measured":
                return Concurrency(self.most)

    def again(self, known: Concurrency) -> Concurrency:
        """What is known now that it says another number, or none any more."""
        if self.told is not None:
            known.tell(self.limit)
            return known
        new = self.concurrency()
        new.take_over(known)
        return new
