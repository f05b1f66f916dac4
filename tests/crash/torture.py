"""`make torture`: kill -9, power cuts and damaged files, some hundred times, and what came of it.

The work is cut into pieces, each with a seed of its own and in a process of its own, so that one
that hangs can be ended, and one that fails can be done again: it says with which command. Two run
at a time, the kinds in turn. After `--minutes` no more are begun, and those under way are ended.

The exit code is 0 if nothing was lost untold, nothing completed ran again, and nothing hung.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from oq.store import rocks
from oq.words.errors import OqError

from .chain import SMALL_BUFFER, Chain, in_memory
from .flips import KINDS, flip_one, judge, lived, spoil_one
from .kills import kill_again_and_again
from .power import Tear

AT_A_TIME = 2
PATIENCE = 300.0
"""Seconds after which a piece is said to hang: many times what it takes."""
AT_START = 0.15
"""The share of the kills that come while the server starts."""
LIKELY = ("*.log", "*.sst", "MANIFEST-*")
"""Most of the bytes are in these, and so is most of the damage."""


@dataclass
class Outcome:
    """What one piece has done, and found."""

    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Anything else that should not be."""


def kill(count: int, chance: random.Random, outcome: Outcome) -> None:
    at_start = int(count * AT_START)
    with TemporaryDirectory(prefix="oq-torture-") as made:
        after = kill_again_and_again(Path(made) / "data", chance, count - at_start, at_start)
    outcome.lost += after.lost()
    outcome.again += after.changed()
    outcome.wrong += after.broken()
    outcome.counts += Counter(kills=count, acknowledged=after.acknowledged())


def cut(count: int, chance: random.Random, outcome: Outcome) -> None:
    if chance.random() < 0.5:
        rocks.WRITE_BUFFER = SMALL_BUFFER
    with TemporaryDirectory(prefix="oq-torture-") as made, in_memory(Path(made)) as directory:
        chain = Chain(directory / "data", chance, list(Tear))
        try:
            for number in range(count):
                trio.run(chain.cut, number)
                outcome.counts["cuts"] += 1
            trio.run(chain.finish)
        except AssertionError as error:
            again = "ran although" in str(error)
            (outcome.again if again else outcome.lost).append(str(error))
        outcome.counts["acknowledged"] += len(chain.ledger.prompts)


def flip(count: int, chance: random.Random, outcome: Outcome) -> None:
    """Every fifth is damage of more than one bit."""
    with TemporaryDirectory(prefix="oq-torture-") as made, in_memory(Path(made)) as directory:
        healthy, truth = lived(directory, chance)
        for number in range(count):
            data = shutil.copytree(healthy, directory / "flipped")
            worse = number % 5 == 4
            kind = chance.choice(LIKELY if worse or chance.random() < 0.8 else KINDS)
            what = (spoil_one if worse else flip_one)(data, kind, chance)
            verdict = judge(data, truth)
            outcome.lost += [f"{what}: {told}" for told in verdict.untold if "again" not in told]
            outcome.again += [f"{what}: {told}" for told in verdict.untold if "again" in told]
            outcome.counts += Counter(flips=1, salvages=verdict.report is not None)
            shutil.rmtree(data)


PIECES: dict[str, Callable[[int, random.Random, Outcome], None]] = {
    "kills": kill,
    "cuts": cut,
    "flips": flip,
}
IN_A_PIECE = {"kills": 30, "cuts": 10, "flips": 20}


@dataclass(frozen=True)
class Piece:
    kind: str
    count: int
    seed: int

    def __str__(self) -> str:
        return f"--piece {self.kind} --count {self.count} --seed {self.seed}"


def do(piece: Piece) -> Outcome:
    """In this process."""
    outcome = Outcome()
    try:
        PIECES[piece.kind](piece.count, random.Random(piece.seed), outcome)
    except (AssertionError, OqError, trio.TooSlowError) as error:
        outcome.wrong.append(f"{type(error).__name__}: {error}")
    return outcome


def do_apart(piece: Piece, deadline: float) -> Outcome:
    """In a process of its own, until it has ended or the time is up."""
    left = deadline - time.monotonic()
    if left <= 0:
        return Outcome()
    command = [sys.executable, "-m", "tests.crash.torture", *str(piece).split(), "--json"]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, _ = child.communicate(timeout=min(left, PATIENCE))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        hung = time.monotonic() < deadline
        return Outcome(Counter(hangs=1), wrong=["it hangs"]) if hung else Outcome()
    try:
        found = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        return Outcome(wrong=[f"it ended with {child.returncode}: {said[-2000:]}"])
    return Outcome(Counter(found.pop("counts")), **found)


def pieces(wanted: dict[str, int], chance: random.Random) -> Iterator[Piece]:
    """All the work, the kinds in turn."""
    left = dict(wanted)
    while any(left.values()):
        for kind, size in IN_A_PIECE.items():
            if left[kind]:
                count = min(size, left[kind])
                left[kind] -= count
                yield Piece(kind, count, chance.getrandbits(32))


def torture(wanted: dict[str, int], seed: int, minutes: float) -> int:
    """Do it all; the exit code."""
    print(f"seed {seed}", flush=True)
    begun = time.monotonic()
    deadline = begun + 60 * minutes
    total = Outcome()

    def report(piece: Piece) -> None:
        outcome = do_apart(piece, deadline)
        total.counts.update(outcome.counts)
        for name in ("lost", "again", "wrong"):
            found: list[str] = getattr(outcome, name)
            getattr(total, name).extend(found)
            for what in found:
                print(f"{name}: {what}\n  again with: make torture ARGS='{piece}'", flush=True)

    with ThreadPoolExecutor(AT_A_TIME) as workers:
        for _ in workers.map(report, pieces(wanted, random.Random(seed))):
            pass
    return summarise(total, wanted, time.monotonic() - begun, seed)


def summarise(total: Outcome, wanted: dict[str, int], seconds: float, seed: int) -> int:
    counts = total.counts
    done = ", ".join(f"{counts[kind]} of {number} {kind}" for kind, number in wanted.items())
    print(
        f"torture: {done} ({counts['salvages']} salvages, {counts['acknowledged']} tasks"
        f" acknowledged) in {seconds:.0f} s, seed {seed}:"
        f" {len(total.lost)} lost untold, {len(total.again)} completed run again,"
        f" {counts['hangs']} hangs, {len(total.wrong) - counts['hangs']} other faults"
    )
    nothing = [kind for kind, number in wanted.items() if number and not counts[kind]]
    if nothing:
        print(f"torture: there was no time for any {' and '.join(nothing)}; that proves nothing")
    return 1 if total.lost or total.again or total.wrong or nothing else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--piece", choices=PIECES, help="do one piece alone, with this very seed")
    parser.add_argument("--count", type=int, default=10, help="how often, in that piece")
    parser.add_argument("--json", action="store_true", help="say what one piece has found as JSON")
    asked = parser.parse_args()
    if asked.piece is None:
        wanted = {"kills": asked.kills, "cuts": asked.cuts, "flips": asked.flips}
        return torture(wanted, asked.seed, asked.minutes)
    outcome = do(Piece(asked.piece, asked.count, asked.seed))
    if asked.json:
        print(json.dumps(vars(outcome)))
        return 0
    return summarise(outcome, {asked.piece: asked.count}, 0.0, asked.seed) or bool(outcome.wrong)


if __name__ == "__main__":
    sys.exit(main())
