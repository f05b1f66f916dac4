"""A server that has room for one model, and calls for several."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from functools import partial
from math import inf
from typing import Any, NamedTuple

import trio

from tests.real.calls import Call, Caller
from tests.real.lab import Lab
from tests.real.loads import Ask, at_once, flood, planned, span
from tests.real.models import NAMES
from tests.real.processes import Server
from tests.real.rows import Row, at_most, seconds, told

SHORT = 8
"""Tokens of a call that is there for its model, not for what it says."""
PAUSE = 3.0
"""Seconds that three callers use a model before another is asked for."""
PATIENCE = 12.0
"""Seconds that they go on for each call that they may starve."""
SOON = 0.5
EACH = 16
"""Calls for each of two models."""
AFFINITY = {"affinity": True}
SEED = 21
CONTEXTS = (1024, 2048)
TURNS = 24
PRIORITIES = ("low", "normal", "critical")
_LOADED = re.compile(r"loading model via llama-server|starting runner")
"""What the logs of newer and of older Ollamas say of a load."""


async def starving(lab: Lab) -> list[Row]:
    """Three callers use b without a pause, and somebody asks for c."""
    async with lab.serving(**lab.box.one_model) as server:
        async with lab.direct(server) as calls:
            [alone] = await _asked_for_c(lab, calls, ["high"])
        async with lab.through(server, {"max_models": 1}) as oq:
            same, critical = await _asked_for_c(lab, oq.calls, ["high", "critical"])
        async with lab.through(server) as oq:
            _, learnt = await _asked_for_c(lab, oq.calls, ["high", "high"])
    what = "b is used without a pause; the first token of a call for c"
    direct = f"{seconds(alone.call.first_after)} (they stop after {seconds(PATIENCE)})"

    def row(name: str, found: Asked, ahead: float) -> Row:
        possible = ahead + lab.load
        first = found.call.first_after
        return at_most(f"{what}, {name}", direct, first, seconds(possible), possible + SOON)

    return [
        row("`max_models: 1`", same, same.came_before),
        row("`max_models: 1`, critical", critical, critical.had_begun),
        row("nothing told, the second time", learnt, learnt.came_before),
    ]


class Asked(NamedTuple):
    """A call for c. For how many seconds calls for b went on that had come before it, and those
    that had begun before it.
    """

    call: Call
    came_before: float
    had_begun: float


async def _asked_for_c(lab: Lab, calls: Caller, priorities: Sequence[str]) -> list[Asked]:
    """Calls for c of these priorities, one after the other, while others use b."""
    found = []
    patience = PAUSE + len(priorities) * PATIENCE
    async with flood(calls, "b", lab.tokens // 3, patience) as others:
        for priority in priorities:
            await trio.sleep(PAUSE)
            found.append(await calls.call("c", SHORT, priority=priority))
    return [
        Asked(
            call,
            _until_ended(call, [one for one in others if one.sent < call.sent]),
            _until_ended(call, [one for one in others if _began(one, lab) < call.sent]),
        )
        for call in found
    ]


def _began(call: Call, lab: Lab) -> float:
    """When the server began with a call: it reads the prompt before the first token comes."""
    return inf if call.first is None else call.first - lab.first


def _until_ended(call: Call, others: Iterable[Call]) -> float:
    """Seconds from when the call was sent until all of these had ended."""
    return max(0.0, *(one.ended - call.sent for one in others))


async def alternating(lab: Lab) -> list[Row]:
    """Sixteen calls for b and sixteen for c, in turns, all at once."""
    models = ["b", "c"] * EACH
    direct = grouped = inf
    parts = {"b": inf, "c": inf}
    async with lab.serving(**lab.box.one_model) as server:
        for _ in range(lab.rounds):
            async with lab.direct(server) as calls:
                direct = min(direct, span(await _short(calls, models)))
                for model, least in parts.items():
                    parts[model] = min(least, span(await _short(calls, [model] * EACH)))
            async with lab.through(server, {"max_models": 1}, scheduler=AFFINITY) as oq:
                grouped = min(grouped, span(await _short(oq.calls, models)))
        async with lab.through(server, {"max_models": 1}) as oq:
            in_turn = await _short(oq.calls, models)
            early = started_early(await oq.tasks(in_turn))
    possible = sum(parts.values())
    what = f"{2 * EACH} calls for b and c in turns"
    answered = sum(call.answered for call in in_turn)
    # llama.cpp's router puts calls for one model together by itself.
    wanted = 1.15 * possible if lab.box.one_model else 1.1 * direct
    return [
        told(
            f"{what}, first in, first out: calls that began before an earlier one",
            "",
            f"{early} ({seconds(span(in_turn))}; {answered} answered)",
            "0",
            early == 0 and answered == len(models),
        ),
        at_most(f"{what}, affinity", seconds(direct), grouped, seconds(possible), wanted),
    ]


async def _short(calls: Caller, models: Iterable[str]) -> list[Call]:
    return await at_once(partial(calls.call, model, SHORT) for model in models)


def started_early(tasks: list[dict[str, Any]]) -> int:
    """How many of these tasks, which are in the order of submission, began while one waited that
    had a higher priority, or the same and was earlier.
    """
    early = 0
    for place, task in enumerate(tasks):
        for other_place, other in enumerate(tasks):
            before = other["priority"] > task["priority"] or (
                other["priority"] == task["priority"] and other_place < place
            )
            waited = other["created_at"] < task["started_at"] < other["started_at"]
            if before and waited:
                early += 1
                break
    return early


async def contexts(lab: Lab) -> list[Row]:
    """One model, whose calls ask in turns for another size of the context."""
    sizes = [{"num_ctx": size} for _ in range(TURNS // 2) for size in CONTEXTS]

    async def loads(server: Server, calls: Caller) -> int:
        before = len(_LOADED.findall(server.log.read_text()))
        await at_once(partial(calls.call, "b", SHORT, options=size) for size in sizes)
        return len(_LOADED.findall(server.log.read_text())) - before

    async with lab.serving(**lab.box.one_model) as server:
        async with lab.direct(server) as calls:
            direct = await loads(server, calls)
        async with lab.through(server, scheduler=AFFINITY) as oq:
            through = await loads(server, oq.calls)
    what = f"{TURNS} calls for one model, num_ctx in turns, affinity: loads"
    return [Row(what, str(direct), str(through), "2", "≤ 3", through <= 3)]


async def mixed(lab: Lab) -> list[Row]:
    """Four models and three priorities, drawn at random, over some seconds."""
    draw = random.Random(SEED)
    drawn = [(draw.uniform(0, 8), draw.choice(NAMES), draw.choice(PRIORITIES)) for _ in range(24)]
    drawn.sort()

    def plan(calls: Caller) -> list[tuple[float, Ask]]:
        return [
            (after, partial(calls.call, model, lab.tokens // 5, priority=priority))
            for after, model, priority in drawn
        ]

    async with lab.serving(**lab.box.one_model) as server:
        async with lab.direct(server) as calls:
            direct = await planned(plan(calls))
        async with lab.through(server, {"max_models": 1}) as oq:
            found = await planned(plan(oq.calls))
            tasks = await oq.tasks(found)
    early = started_early(tasks)
    late = late_calls(found, lab.service / 5, lab.load)
    answered = sum(call.answered for call in found)
    return [
        told(
            f"4 models, 3 priorities, {len(found)} calls (seed {SEED}): began before their turn",
            "",
            f"{early} ({answered} answered)",
            "0",
            early == 0 and answered == len(found),
        ),
        told(
            "the same: the longest wait of a critical call for its first token",
            seconds(_longest(direct)),
            f"{seconds(_longest(found))}, {len(late)} waited for others, too",
            "for what is under way, and critical ones before it: a load and a service each",
            not late,
        ),
    ]


def late_calls(calls: Iterable[Call], service: float, load: float) -> list[Call]:
    """The critical ones that waited for longer than the order says: for what is under way, which
    may begin with a load, for the critical ones before them, and for their own load.
    """
    critical = [call for call in calls if call.priority == "critical"]

    def may_wait(call: Call) -> float:
        before = sum(one.sent < call.sent < one.ended for one in critical)
        return (load + service) * (1 + before) + load + SOON

    return [call for call in critical if call.first_after > may_wait(call)]


def _longest(calls: Iterable[Call]) -> float:
    return max(call.first_after for call in calls if call.priority == "critical")
