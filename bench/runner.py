"""Running scenarios: every side in its turn, A B A B, as often as there are rounds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import trio

from bench.figures import Summary, ratios
from bench.scenario import NotMeasured, Scenario, Setting
from oq.words.errors import lone

STRANGE = OSError | trio.BrokenResourceError | msgspec.MsgspecError
"""What the answers of a server that is none of ours may lead to."""


@dataclass
class Found:
    """What a run has found: figures in the order in which they came, and what could not be had."""

    figures: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each scenario took."""

    def add(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)

    def summaries(self) -> dict[str, Summary]:
        return {name: Summary(name, tuple(values)) for name, values in self.figures.items()}


def measure(scenarios: Mapping[str, Scenario], setting: Setting) -> Found:
    """Run them one after the other. One that cannot be measured is noted, with the reason."""
    found = Found()
    for name, scenario in scenarios.items():
        begun = time.perf_counter()
        try:
            rounds = trio.run(_measure, name, scenario, setting)
        except Exception as error:
            reason = lone(error)
            if isinstance(reason, NotMeasured):
                found.missing[name] = str(reason)
            elif setting.server is not None and isinstance(reason, STRANGE):
                found.missing[name] = f"{setting.server} does not speak oq's API: {reason}"
            else:
                raise
        else:
            for figures in rounds:
                found.add(figures)
        found.seconds[name] = round(time.perf_counter() - begun, 1)
    say("")
    return found


async def _measure(name: str, scenario: Scenario, setting: Setting) -> list[dict[str, float]]:
    """The figures of each round; those of all of them or, if one fails, of none."""
    rounds = []
    say(f"{name}: setting up")
    async with scenario(setting) as sides:
        for turn in range(setting.rounds):
            say(f"{name}: round {turn + 1}/{setting.rounds}")
            figures = {"reference": reference()}
            for side in sides:
                figures |= await side()
            rounds.append(figures | ratios(figures))
    return rounds


def say(text: str) -> None:
    """How far it is, on a line that is written over."""
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="" if text else "\r", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def reference(turns: int = 200_000) -> float:
    """Turns a second of a fixed loop of dict, list and call work in pure Python: what this machine
    does at the time, so that figures of two machines can be compared as ratios to it.
    """
    table: dict[int, list[int]] = {}
    begun = time.perf_counter()
    for turn in range(turns):
        table.setdefault(turn % 1000, []).append(turn)
        if turn % 10 == 0:
            table.pop(turn % 1000, None)
    return turns / (time.perf_counter() - begun)


def chosen(scenarios: Mapping[str, Scenario], only: Iterable[str]) -> dict[str, Scenario]:
    """Those that were asked for, in their own order; `gateway` asks for all of `gateway-*`.
    ValueError names what there is not.
    """
    wanted = {name.strip() for name in only} - {""}
    if unknown := sorted(wanted - {word for name in scenarios for word in _names(name)}):
        raise ValueError(f"no scenario {', '.join(unknown)}; there are {', '.join(scenarios)}")
    return {name: each for name, each in scenarios.items() if not wanted or wanted & _names(name)}


def _names(scenario: str) -> set[str]:
    """Its name, and that of its family."""
    return {scenario, scenario.partition("-")[0]}
