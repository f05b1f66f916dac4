"""What the rules of the order cost a task: the embedded queue with all of them, and with none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench import embedded
from bench.scenario import Setting, Side

ALL: embedded.Sections = {
    "scheduler": {
        "affinity": True,
        "reserve": [{"priority": "critical", "slots": 1}],
        "idle_after": "30s",
        "preempt": True,
    },
    "fairness": {"enabled": True},
}
"""The settings that turn every rule on."""


@asynccontextmanager
async def rules(setting: Setting) -> AsyncIterator[list[Side]]:
    """Tasks a second, in bulk and one after the other, without rules and with all of them."""
    bulk, ones = setting.sized(20_000, least=embedded.BULK), setting.sized(1_500)

    async def measured(name: str, settings: embedded.Sections) -> dict[str, float]:
        figures = await embedded.bulk(bulk, settings) | await embedded.sequential(ones, settings)
        return {f"{what}_{name}": value for what, value in figures.items()}

    yield [lambda: measured("plain", {}), lambda: measured("ruled", ALL)]
