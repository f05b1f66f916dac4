"""This oq against that of another commit, in turns: is anything slower?

    make bench-against REV=main
    make bench-against REV=v0.1.0 ARGS="--only post,client --rounds 9 --worse 10"
    make bench-against REV=64a4862 ARGS="--only gateway"

The other commit is taken from git into a directory of its own and runs with the same packages, on
the same machine, in the same minutes: its rounds and ours take turns, and who is first changes each
time. Each commit is measured by its own benchmark, which knows its insides; what a figure means is
compared by its name, so look first whether `bench/` changed (the head of the table says so). The
scenarios `gateway-*` look at `oq serve` from outside: both commits are measured by ours.

A row is the ratio of the two in the same round, turned so that above 1 is better: its median and
its quartiles; and `best`, the ratio of what each side reaches in the better quarter of its rounds.
What else the machine does can only make a round slower, so the best rounds compare the code. A row
is *worse* if its median and its best are both below 1 by more than --worse percent, and three
quarters of its rounds are below 1. Then the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.__main__ import SCENARIOS, SERVED
from bench.children import Helper, interruptible, program
from bench.figures import BUDGETS, Budget, percentile
from bench.runner import chosen, say

ROOT = Path(__file__).parent.parent
USUAL = "bulk,producers,sequential,idle,slot,client,connections,post"
"""The scenarios that are measured unless others are named: each takes seconds."""
_SMALLER_IS_BETTER = ("us", "ms", "s", "kB", "MB")
_OF_THE_MACHINE = {
    "post_bare",
    "disk_p50",
    "disk_p99",
    "first_direct",
    "direct_p99",
    "version_bare",
}
"""Figures that nothing of oq is in: shown, since they tell how even the rounds were; not judged."""

_decode = msgspec.json.Decoder(dict[str, float | str]).decode


@dataclass
class Row:
    """One figure: how many times as good ours was, in each round."""

    name: str
    ratios: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def budget(self) -> Budget:
        return BUDGETS[self.name]

    def add(self, ours: float, theirs: float) -> None:
        if ours > 0 and theirs > 0:
            self.ours.append(ours)
            self.theirs.append(theirs)
            self.ratios.append(self._ratio(ours, theirs))

    def _ratio(self, ours: float, theirs: float) -> float:
        return theirs / ours if self.budget.unit in _SMALLER_IS_BETTER else ours / theirs

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        return percentile(self.ratios, 0.25), percentile(self.ratios, 0.75)

    @property
    def best(self) -> float:
        """The ratio of what each side reaches in the better quarter of its rounds."""
        quarter = 0.25 if self.budget.unit in _SMALLER_IS_BETTER else 0.75
        return self._ratio(percentile(self.ours, quarter), percentile(self.theirs, quarter))

    def worse(self, percent: float) -> bool:
        """Whether it is so, by more than so many percent and in three of four rounds."""
        bound = 1 - percent / 100
        slower = self.median < bound and self.best < bound and self.quartiles[1] < 1
        return slower and self.name not in _OF_THE_MACHINE


@dataclass
class Comparison:
    """Rows by their figures' names, and what could not be measured."""

    rows: dict[str, Row] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add(self, ours: Mapping[str, float | str], theirs: Mapping[str, float | str]) -> None:
        for name, value in ours.items():
            other = theirs.get(name)
            if name in BUDGETS and isinstance(value, float) and isinstance(other, float):
                self.rows.setdefault(name, Row(name)).add(value, other)

    def compared(self) -> list[Row]:
        """The rows that say something, in the order in which figures are shown."""
        return [self.rows[name] for name in BUDGETS if name in self.rows and self.rows[name].ratios]


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """The commit's oq and bench in a directory of their own; LookupError without such a commit."""
    with tempfile.TemporaryDirectory(prefix="oq-against-") as folder:
        archive = Path(folder) / "tree.tar"
        command = ["git", "-C", str(ROOT), "archive", "-o", str(archive), revision, "oq", "bench"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise LookupError(f"git has no {revision!r} with oq and bench: {done.stderr.strip()}")
        tree = Path(folder) / "tree"
        with tarfile.open(archive) as file:
            file.extractall(tree, filter="data")
        yield tree


@contextmanager
def side(tree: Path, scale: float, oq: Path) -> Iterator[Helper]:
    """A process that measures with the benchmark of that directory. What is seen from outside it
    measures of the `oq serve` in the directory `oq`.
    """
    turn = Path(__file__).with_name("turn.py")
    command = [sys.executable, str(turn), str(scale), str(oq)]
    with program(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}) as started:
        yield started


def compare(revision: str, names: Sequence[str], rounds: int, scale: float) -> Comparison:
    """Measure both in turns, scenario by scenario."""
    found = Comparison()
    with ExitStack() as stack:
        other = stack.enter_context(checkout(revision))
        ours = stack.enter_context(side(ROOT, scale, ROOT))
        inside = stack.enter_context(side(other, scale, other))
        outside = stack.enter_context(side(ROOT, scale, other))
        for name in names:
            theirs = outside if name in SERVED else inside
            for turn in range(rounds):
                say(f"{name}: round {turn + 1}/{rounds}")
                pair = [("here", ours), (revision, theirs)]
                answers = {
                    whose: _decode(process.ask(name))
                    for whose, process in (pair if turn % 2 else reversed(pair))
                }
                lacking = [
                    f"{name}, {whose}: {answer['missing']}"
                    for whose, answer in answers.items()
                    if "missing" in answer
                ]
                if lacking:
                    found.missing += lacking
                    break
                found.add(answers["here"], answers[revision])
    return found


def text(found: Comparison, revision: str, percent: float) -> str:
    """The table, as Markdown."""
    lines = [
        f"| what | unit | here | {revision} | times as good | quartiles | best | |",
        "|-|-|-|-|-|-|-|-|",
    ]
    for row in found.compared():
        low, high = row.quartiles
        verdict = "**worse**" if row.worse(percent) else ""
        lines.append(
            f"| {row.budget.what} | {row.budget.unit} | {statistics.median(row.ours):,.4g}"
            f" | {statistics.median(row.theirs):,.4g} | {row.median:.2f}"
            f" | {low:.2f} to {high:.2f} | {row.best:.2f} | {verdict} |"
        )
    lines += ["", *(f"not measured: {each}" for each in found.missing)]
    return "\n".join(lines).rstrip() + "\n"


def benchmarks_differ(revision: str) -> bool:
    """Whether the two commits do not measure with the same code."""
    command = ["git", "-C", str(ROOT), "diff", "--quiet", revision, "--", "bench/*.py"]
    return subprocess.run(command).returncode != 0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.against",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revision", help="the other commit, as git names it")
    parser.add_argument("--only", default=USUAL, help="scenarios, after commas")
    parser.add_argument("--rounds", type=int, default=7, help="of each scenario (7)")
    parser.add_argument("--scale", type=float, default=0.5, help="share of the full sizes (0.5)")
    parser.add_argument("--worse", type=float, default=10.0, help="percent that fail a row (10)")
    options = parser.parse_args()
    if options.rounds < 1 or options.scale <= 0:
        parser.error("--rounds and --scale must be more than 0")
    try:
        names = list(chosen(SCENARIOS, options.only.split(",")))
        found = compare(options.revision, names, options.rounds, options.scale)
    except (LookupError, ValueError) as error:
        parser.error(str(error))
    if benchmarks_differ(options.revision):
        print(f"bench/ of {options.revision} is another: read what changed there beside this.\n")
    print(text(found, options.revision, options.worse))
    worse = any(row.worse(options.worse) for row in found.compared())
    return 1 if worse or found.missing else 0


if __name__ == "__main__":
    sys.exit(interruptible(main))
