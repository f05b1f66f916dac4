"""What is known of how many tasks a backend serves at once, before it has served any."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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

    __slots__ = ("anew", "most", "source", "sure", "told", "told_of")

    def __init__(self, most: int, source: SlotsSource, sure: int | None = None) -> None:
        self.most = most
        self.source: SlotsSource = source
        self.sure = sure
        self.told: int | None = None
        """How many it says itself that it serves at once: of one model, if it has several."""
        self.told_of: Mapping[str, int] = {}
        """The same of single models, of which it says a number of their own."""
        self.anew = False
        """Whether it was restarted since it told its number last: it may have none to tell now."""

    def limit(self, model: str = "") -> int:
        """How many it gets at most, as far as is known: of all models, or of this one."""
        told = self.told_of.get(model, self.told)
        return self.most if told is None else min(told, self.most)

    def note(self, facts: BackendFacts, model_of: Callable[[str], str] = str) -> bool:
        """What it says of itself; whether that may be another number than before. If it says none,
        the last one holds until it was restarted, and is not still without a model to tell it of.
        `model_of` says the one name of a model.
        """
        if self.source not in ("guessed", "told"):
            return False
        silent = facts.slots is None
        if silent and (not self.anew or facts.incomplete or facts.loaded == ()):
            return False
        before, self.anew = self.told, False
        self.told = None if facts.slots is None else max(1, facts.slots)
        self.told_of = {model_of(name): max(1, number) for name, number in facts.slots_of.items()}
        self.source = "guessed" if self.told is None else "told"
        return self.told != before or bool(self.told_of)

    def concurrency(self, model: str = "") -> Concurrency:
        """Of a backend, or of a load group of this model, that has served nothing yet."""
        if self.sure is not None:
            return Concurrency(min(self.sure, self.most), learns=False)
        match self.source:
            case "set":
                return Concurrency(self.most, learns=False)
            case "told":
                concurrency = Concurrency(self.most)
                concurrency.tell(self.limit(model))
                return concurrency
            case "guessed":
                return Concurrency(min(self.most, MOST_GUESSED), GUESSED)
            case "measured":
                return Concurrency(self.most)

    def again(self, known: Concurrency, model: str = "") -> Concurrency:
        """What is known now that it says another number, or none any more."""
        if self.told is not None:
            if known.told != self.limit(model):
                known.tell(self.limit(model))
            return known
        new = self.concurrency(model)
        new.take_over(known)
        return new
