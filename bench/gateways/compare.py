"""Every gateway in its turn, A B C ... A B C ..., each with a backend of its own."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import disk
from bench.gateways.backend import RATE, backend
from bench.gateways.bodies import call, stream
from bench.gateways.load import LEAD, REST, Calls, Load, Streams, Target, load
from bench.gateways.peers.sides import Running, Side, got
from bench.peers.turns import home
from bench.runner import say
from bench.scenario import NotMeasured
from bench.wire import KeptAlive
from oq.store.directory import read_mark

CONNECTIONS = (1, 16, 64)
STREAMS = (64, 256)
SECONDS = 1.0
LEAST = 0.2
TRIED = 50
"""Calls that are made, one after the other, to see what is on the disk when each is answered."""
WRONG = (NotMeasured, OSError, RuntimeError, LookupError, subprocess.SubprocessError)


class Failed(Exception):
    """oq could not be measured, and how it said so."""


@dataclass
class Row:
    """What is known of one side."""

    side: Side
    rounds: list[dict[str, float]] = field(default_factory=list)
    after_sync: int = 0
    """Of `TRIED` answers, so many came after a sync that the store noted."""


@dataclass
class Comparison:
    """What a run has found: a row a side, and who was left out, and why."""

    rows: list[Row] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    syncs: list[float] = field(default_factory=list)
    """Milliseconds of a write of 500 bytes and its fdatasync, before each round: what oq waits for
    at each of its commits.
    """


def compare(sides: Sequence[Side], rounds: int, scale: float) -> Comparison:
    """Measure them all. A peer that fails takes no further part; its reason is kept. Failed when it
    is oq that fails.
    """
    found = Comparison()
    missing = got(sides)
    for side in sides:
        reasons = [f"{need}: {missing[need]}" for need in side.needs if need in missing]
        if reasons:
            found.left_out[side.title] = "; ".join(reasons)
        else:
            found.rows.append(Row(side))
    with load() as callers:
        for turn in range(rounds):
            found.syncs.append(disk.p50(place=home()))
            for row in list(found.rows):
                say(f"round {turn + 1}/{rounds}: {row.side.title}")
                try:
                    row.rounds.append(_round(row, callers, scale))
                except WRONG as error:
                    if row.side.ours:
                        raise Failed(f"{row.side.title}: {error}") from error
                    found.rows.remove(row)
                    found.left_out[row.side.title] = _brief(error)
    say("")
    return found


def _brief(error: BaseException) -> str:
    """The first line of what is wrong, and the last: what a program said is long."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[0][:200] if len(lines) == 1 else f"{lines[0][:200]} ... {lines[-1][:200]}"


def _round(row: Row, callers: Load, scale: float) -> dict[str, float]:
    """The side's figures, once."""
    side, seconds = row.side, max(SECONDS * scale, LEAST)
    lead = LEAD if scale >= 1 else 1.0
    chunks = round((lead + 2 * seconds + REST) * RATE)
    with (
        tempfile.TemporaryDirectory(prefix="oq-gateways-", dir=home()) as folder,
        backend() as behind,
        side.start(Path(folder), behind.url) as running,
    ):

        def asked(body: str) -> Target:
            headers = dict(side.headers(behind.url))
            return Target(running.url, side.path, body, running.session, headers=headers)

        _await_ready(asked(call(side.path)))
        if running.data is not None:
            row.after_sync = _after_sync(running, asked(call(side.path)), running.data)
        figures = {}
        for connections in CONNECTIONS:
            found = callers.do(
                Calls(asked(call(side.path)), connections, seconds, warm=seconds / 2)
            )
            figures[f"call_{connections}"] = found.rate
            figures[f"cpu_{connections}"] = found.cpu_each * 1e3
        for streams in STREAMS:
            target = asked(stream(side.path, chunks))
            one = callers.do(Streams(target, round(streams * scale) or 1, RATE, 2 * seconds, lead))
            figures[f"chunk_{streams}"] = one.cpu_each * 1e6
            figures[f"kept_{streams}"] = one.in_time
            figures[f"p99_{streams}"] = one.p99
            figures[f"memory_{streams}"] = one.resident / 1e6
        return figures


def _await_ready(target: Target) -> None:
    """Some take connections before they take calls: routers look first how their workers are."""
    given_up = time.monotonic() + 30
    while True:
        with KeptAlive(target.url) as connection:
            answer = connection.ask(target.bytes())
        if answer.problem is None:
            return
        if time.monotonic() > given_up:
            raise NotMeasured(f"POST {target.path}: {answer.problem}")
        time.sleep(0.2)  # nothing tells when another program is ready


def _after_sync(running: Running, target: Target, data: Path) -> int:
    """How many of the answers came after a sync that the store notes: the task of each call is on
    the disk by then. Nothing else goes on.
    """
    synced = 0
    with KeptAlive(running.url) as connection:
        for _ in range(TRIED):
            mark = read_mark(data)
            connection.ask(target.bytes())
            synced += read_mark(data) > mark
    return synced
