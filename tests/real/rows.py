"""The table: what was measured directly, through oq, and what is possible."""

from __future__ import annotations

from typing import NamedTuple

HEAD = "| what | direct | through oq | possible | wanted | holds |\n|-|-|-|-|-|-|"


class Row(NamedTuple):
    """One line of the table. `holds` is None where nothing is promised."""

    what: str
    direct: str
    through: str
    possible: str = ""
    wanted: str = ""
    holds: bool | None = None

    def __str__(self) -> str:
        holds = {None: "", True: "yes", False: "**no**"}[self.holds]
        return "| " + " | ".join((*self[:5], holds)) + " |"


def at_most(what: str, direct: str, found: float, possible: str, limit: float) -> Row:
    """A row of seconds, of which there may be so many."""
    return Row(what, direct, seconds(found), possible, f"≤ {seconds(limit)}", found <= limit)


def told(what: str, direct: str, through: str, wanted: str, holds: bool) -> Row:
    """A row of words: whether what was seen through oq is as wanted."""
    return Row(what, direct, through, "", wanted, holds)


def seconds(value: float) -> str:
    """Seconds as the table shows them."""
    return f"{value:.2f} s"
