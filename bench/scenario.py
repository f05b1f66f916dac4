"""What a scenario is: something that is set up once, and whose sides are measured in turns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

Side = Callable[[], Awaitable[dict[str, float]]]
"""Measures once; its figures by their names in `bench.figures`."""


@dataclass(frozen=True)
class Setting:
    """How large a run is, and what it measures. `scale` is the share of the full sizes; `server`
    is one that runs already, for the scenarios over HTTP. `oq` is the checkout whose `oq serve` is
    started, by the scenarios that look at it from outside only.
    """

    rounds: int = 5
    scale: float = 1.0
    server: str | None = None
    oq: Path = ROOT

    def sized(self, full: int, *, least: int = 1) -> int:
        """That share of a full size, in whole steps of `least`, and one step at least."""
        return max(least, round(full * self.scale / least) * least)


Scenario = Callable[[Setting], AbstractAsyncContextManager[list[Side]]]


class NotMeasured(Exception):
    """What is measured cannot do this, and how it said so."""
