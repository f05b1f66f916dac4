"""What is known of how many tasks a backend serves at once, before it has served any."""

from __future__ import annotations

from oq.rules.concurrency import Concurrency
from oq.words.views import SlotsSource

GUESSED = 4
"""Tasks that a backend gets at once at first if it does not say how many it serves."""
MOST_GUESSED = 16
"""The most that it is tried with."""


def concurrency_of(
    source: SlotsSource, most: int, told: int | None, sure: int | None
) -> Concurrency:
    """`most` at most. `told` is what it says itself, and `sure` what needs no proof."""
    if sure is not None:
        return Concurrency(min(sure, most), learns=False)
    match source:
        case "set":
            return Concurrency(most, learns=False)
        case "told":
            concurrency = Concurrency(most)
            concurrency.tell(min(told or 1, most))
            return concurrency
        case "guessed":
            return Concurrency(min(most, MOST_GUESSED), GUESSED)
        case "measured":
            return Concurrency(most)
