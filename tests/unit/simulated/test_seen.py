"""What was seen on a real Ollama, and that the simulated one does the same.

The real one was Ollama's source of August 2026 with llama.cpp b10488, on one processor, with models
made of SmolLM2-135M: a load takes .55 s there, and a token 12 ms. Each row was done by hand once,
with the calls at the times of the row divided by about 20. `seen` is what it answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from oq.words.task import TaskType
from tests.unit.simulated.machine import Machine

FOUR = {"delay": 1, "rate": 1, "tokens": 4}
"""Four seconds."""
LEAVES = "leaves"
"""After how many seconds the caller of a call hangs up."""


@dataclass(frozen=True)
class Row:
    """Calls, as (name, when, model, more), and what they gave: the time of the end, `load` and
    `waited` in seconds, or the status of the error.
    """

    title: str
    seen: str
    calls: list[tuple[str, float, str, dict[str, Any]]]
    gave: dict[str, tuple[float, float, float] | int]
    settings: dict[str, Any] = field(default_factory=dict)
    loads: str = ""
    """The models that were loaded, in order; they have names of one letter."""
    left: list[str] | None = None
    """What is in memory in the end."""


ROWS = [
    Row(
        "one slot",
        "two calls at once: the second waited .48 s inside (40 tokens of the first), load 0",
        [("a", 0, "b", FOUR), ("b", 0, "b", FOUR)],
        {"a": (14, 10, 0), "b": (18, 10, 4)},
    ),
    Row(
        "four slots",
        "five calls at once with OLLAMA_NUM_PARALLEL=4: four waited 0 to .02 s, the fifth 1.55 s",
        [(name, 0, "b", FOUR) for name in "12345"],
        {**dict.fromkeys("1234", (14, 10, 0)), "5": (18, 10, 4)},
        {"parallel": 4},
    ),
    Row(
        "a model that embeds, with OLLAMA_NUM_PARALLEL=4",
        "three lists at once ended after 22.5, 47.6 and 72.4 s: one after the other",
        [(name, 0, "embed", {"kind": TaskType.EMBED, "delay": 4}) for name in "123"],
        {"1": (14, 10, 4), "2": (18, 10, 8), "3": (22, 10, 12)},
        {"parallel": 4},
    ),
    Row(
        "who waits beside a load",
        "a call that came while the model was loading: the rest of the load in its load_duration",
        [("a", 0, "b", FOUR), ("b", 4, "b", FOUR)],
        {"a": (14, 10, 0), "b": (18, 6, 4)},
    ),
    Row(
        "one model fits, the loaded one is busy",
        "load_duration of the swap 1.26 s, waited .003: it holds the wait for the others; a later"
        " call for the loaded model passed by, its first token after .30 s",
        [("c", 0, "c", FOUR), ("b", 11, "b", FOUR), ("c2", 12, "c", FOUR)],
        {"c": (14, 10, 0), "c2": (18, 0, 2), "b": (32, 17, 0)},
        {"max_models": 1},
        loads="cb",
    ),
    Row(
        "a load that is given up",
        "the caller who loaded left after .2 s: 'Load failed', and the next one loaded anew",
        [("a", 0, "b", {LEAVES: 4, **FOUR}), ("b", 1, "b", FOUR)],
        {"b": (18, 13, 0)},
        loads="b",
    ),
    Row(
        "who waits for a place in memory leaves",
        "the loaded model was unloaded all the same when its call had ended; /api/ps: []",
        [("b", 0, "b", FOUR), ("c", 11, "c", {LEAVES: 2, **FOUR})],
        {"b": (14, 10, 0)},
        {"max_models": 1},
        loads="b",
        left=[],
    ),
    Row(
        "a call with keep_alive for the model that must leave",
        "keep_alive 12s, 6 tokens: the call for c, which was the first in the line, waited for"
        " 13.2 s, until that time was over",
        [
            ("b", 0, "b", FOUR),
            ("c", 11, "c", FOUR),
            ("b2", 12, "b", {"fields": {"keep_alive": "60s"}, **FOUR}),
        ],
        {"b": (14, 10, 0), "b2": (18, 0, 2), "c": (92, 77, 0)},
        {"max_models": 1},
        loads="bc",
    ),
    Row(
        "which of three idle models leaves",
        "keep_alive 1h, 1m and -1: the one with 1m",
        [
            ("a", 0, "a", {"fields": {"keep_alive": "1h"}, **FOUR}),
            ("b", 20, "b", {"fields": {"keep_alive": "1m"}, **FOUR}),
            ("c", 40, "c", {"fields": {"keep_alive": -1}, **FOUR}),
            ("d", 60, "d", FOUR),
        ],
        {"a": (14, 10, 0), "b": (34, 10, 0), "c": (54, 10, 0), "d": (74, 10, 0)},
        loads="abcd",
        left=["a", "c", "d"],
    ),
    Row(
        "a full line, OLLAMA_MAX_QUEUE=2",
        "one call waited at the head of the line and two behind it; the fourth and fifth got 503",
        [("b", 0, "b", FOUR), *((str(n), 11 + n / 10, "c", FOUR) for n in range(5))],
        {"b": (14, 10, 0), "0": (28, 13, 0), "1": (32, 12.9, 4), "2": (36, 12.8, 8),
         "3": 503, "4": 503},
        {"max_models": 1, "max_queue": 2},
        loads="bc",
    ),
    Row(
        "who has left still counts in a full line, OLLAMA_MAX_QUEUE=1",
        "after the second in the line had left, the next call got 503",
        [
            ("b", 0, "b", FOUR), ("c", 11, "c", FOUR), ("d", 11.5, "c", {LEAVES: 1, **FOUR}),
            ("e", 13, "c", FOUR),
        ],
        {"b": (14, 10, 0), "c": (28, 13, 0), "e": 503},
        {"max_models": 1, "max_queue": 1},
    ),
    Row(
        "options that load a model again",
        "num_ctx, num_batch, num_thread, num_gpu, main_gpu and shift: load .53 to 2.3 s, and again"
        " on the way back, but for num_gpu (.006 s)",
        [
            ("plain", 0, "b", FOUR),
            ("gpu 0", 20, "b", {"options": {"num_gpu": 0}, **FOUR}),
            ("back", 40, "b", FOUR),
            ("shift", 60, "b", {"fields": {"shift": False}, **FOUR}),
            ("and back", 80, "b", FOUR),
        ],
        {"plain": (14, 10, 0), "gpu 0": (34, 10, 0), "back": (44, 0, 0), "shift": (74, 10, 0),
         "and back": (94, 10, 0)},
        loads="bbbb",
    ),
    Row(
        "options that do not",
        "temperature, seed, num_keep, use_mmap, keep_alive, format, system, truncate: load .001 s",
        [
            ("plain", 0, "b", FOUR),
            ("mmap", 20, "b", {"options": {"use_mmap": False, "seed": 3, "num_keep": 4}, **FOUR}),
            ("format", 40, "b", {"fields": {"format": "json", "keep_alive": "1h"}, **FOUR}),
        ],
        {"plain": (14, 10, 0), "mmap": (24, 0, 0), "format": (44, 0, 0)},
        loads="b",
    ),
    Row(
        "who leaves while a long prompt is read",
        "left after .5 s of a prompt of 22.7 s in four batches: the next call waited 4.6 s inside",
        [
            ("load", 0, "b", FOUR),
            ("long", 20, "b", {LEAVES: 1, "prompt": 40, "batch": 10, **FOUR}),
            ("next", 22, "b", FOUR),
        ],
        {"load": (14, 10, 0), "next": (34, 0, 8)},
    ),
    Row(
        "who leaves while it generates, or waits for a slot",
        "the next one's wait was the same as without it",
        [
            ("a", 0, "b", {"delay": 1, "rate": 1, "tokens": 10}),
            ("waits", 11, "b", {LEAVES: 1, **FOUR}),
            ("generates", 12, "b", {LEAVES: 10, "delay": 1, "rate": 1, "tokens": 100}),
            ("next", 13, "b", FOUR),
        ],
        {"a": (20, 10, 0), "next": (26, 0, 9)},
    ),
    Row(
        "a runner that is killed, OLLAMA_NUM_PARALLEL=2",
        "all that ran on it ended with 'unexpected EOF', what waited for a slot with 500"
        " 'llama-server process no longer running'; /api/ps listed it until the next call, which"
        " loaded it again (1.16 s)",
        [
            ("killed", 0, "b", {"fault": "killed", "at": 2, **FOUR}),
            ("beside", 0, "b", {"delay": 100}),
            ("waits", 0, "b", FOUR),
            ("next", 20, "b", FOUR),
        ],
        {"killed": 500, "beside": 500, "waits": 500, "next": (34, 10, 0)},
        {"parallel": 2},
        loads="bb",
    ),
    Row(
        "load and unload calls",
        "a load call while the only slot was taken was answered at once; an unload call too, and"
        " the model left when the call that ran on it had ended",
        [
            ("a", 0, "b", FOUR),
            ("load", 11, "b", {"fields": {"messages": []}}),
            ("unload", 12, "b", {"fields": {"messages": [], "keep_alive": 0}}),
        ],
        {"a": (14, 10, 0), "load": (11, 0, 0), "unload": (12, 0, 0)},
        loads="b",
        left=[],
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
async def test_the_simulated_one_does_what_the_real_one_did(autojump_clock, row):
    machine = Machine(**row.settings)

    async def one(name, at, model, more):
        more = dict(more)
        leaves = more.pop(LEAVES, float("inf"))
        await trio.sleep_until(machine.began + at)
        with trio.move_on_after(leaves):
            await machine.call(name, model, **more)

    async with trio.open_nursery() as nursery:
        for place, (name, at, *call) in enumerate(row.calls):
            # Calls of one moment come in the order of the row.
            nursery.start_soon(one, name, at + place * 1e-6, *call)
    assert {name: gave(machine, name) for name in machine.order} == row.gave
    assert not row.loads or "".join(machine.simulator.loaded.loads) == row.loads
    assert row.left is None or sorted(machine.simulator.loaded.names) == row.left


def gave(machine, name):
    if name in machine.failed:
        return machine.failed[name].status
    said = machine.said[name]
    spent = {key: value / 1e9 for key, value in said.items() if key.endswith("_duration")}
    total, load = spent.pop("total_duration", 0), spent.pop("load_duration", 0)
    waited = total - load - sum(spent.values())
    return tuple(round(seconds, 3) for seconds in (machine.ended[name], load, waited))
