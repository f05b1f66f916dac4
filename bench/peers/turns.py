"""Every side in its turn, A B C ... A B C ..., each in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import disk
from bench.children import ended, new_session
from bench.peers import install
from bench.peers.scripts.marks import Marks
from bench.peers.servers import Running
from bench.peers.sides import Side
from bench.runner import say

PROBES = 200
"""Of the latency, in a round."""
SECONDS = 0.8
"""What a measurement of a rate is to take, in a round."""
PATIENCE = 240.0
"""Seconds that one side gets in one round, whatever it does."""


IN_MEMORY = ("tmpfs", "ramfs")


class Failed(Exception):
    """A side could not be measured, and how it said so."""


@dataclass
class Column:
    """What is known of one side."""

    side: Side
    version: str = ""
    workers: str = ""
    durability: str = ""
    rounds: list[dict[str, float]] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)

    def add(self, found: dict[str, Any], server: Running | None) -> None:
        """One round's figures. Everything else is the same in each, or the last one's."""
        parts = [server.version if server else "", found["version"]]
        self.version = ", ".join(part for part in parts if part)
        self.workers = found["workers"]
        self.durability = found["durability"] or (server.durability if server else "")
        self.rounds.append(found["figures"])
        self.counts.append(found["counts"])


@dataclass
class Comparison:
    """What a run has found: a column a side, and who was left out, and why."""

    columns: list[Column] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    syncs: list[float] = field(default_factory=list)
    """Microseconds of one write of 500 bytes and its fdatasync, once a round."""
    place: str = ""
    """Where everybody's files were."""
    filesystem: str = ""
    seconds: float = 0.0


def compare(sides: Sequence[Side], rounds: int, scale: float, probes: int = PROBES) -> Comparison:
    """Measure them all. A peer that fails takes no further part; its reason is kept. Failed when it
    is oq that fails, or the user's server: then there is nothing to compare.
    """
    begun = time.monotonic()
    found = Comparison(place=str(home()), filesystem=filesystem(home()))
    if found.filesystem in IN_MEMORY:
        say(f"{home()} is in memory, where a sync costs nothing: set TMPDIR to a place on a disk\n")
    missing = install.install({need for side in sides for need in side.needs})
    for side in sides:
        reasons = [f"{need}: {missing[need]}" for need in side.needs if need in missing]
        if reasons:
            found.left_out[side.name] = "; ".join(reasons)
        else:
            found.columns.append(Column(side))
    for turn in range(rounds):
        found.syncs.append(disk.p50(place=home()) * 1e3)
        for column in list(found.columns):
            say(f"round {turn + 1}/{rounds}: {column.side.title}")
            try:
                measured, server = run(column.side, SECONDS * scale, probes)
            except Failed as failure:
                if not column.side.peer:
                    raise Failed(f"{column.side.title}: {failure}") from failure
                found.columns.remove(column)
                found.left_out[column.side.name] = str(failure)
            else:
                column.add(measured, server)
    say("")
    found.seconds = round(time.monotonic() - begun, 1)
    return found


def run(side: Side, seconds: float, probes: int) -> tuple[dict[str, Any], Running | None]:
    """One side, once: its server, its workers and its producer, and their end."""
    line = side.line(
        install.python(side.environment), shutil.which("node") or "node", seconds, probes
    )
    with tempfile.TemporaryDirectory(prefix="oq-peers-", dir=home()) as folder, marks() as shared:
        place = Path(folder)
        files = place / "server"
        files.mkdir()
        place.chmod(0o755)  # PostgreSQL's is another user's
        environ = {**os.environ, "PEER_MARKS": shared, "TMPDIR": folder}
        environ["PYTHONPATH"] = str(install.ROOT)  # not every peer's command looks where it is run
        try:
            with side.starter(files) if side.starter else nullcontext() as server:
                environ["PEER_URL"] = server.url if server else ""
                return json.loads(_output(line, environ)), server
        except (OSError, RuntimeError, LookupError, subprocess.SubprocessError) as error:
            raise Failed(str(error)) from error


def _output(line: list[str], environ: dict[str, str]) -> str:
    """What the command prints. It and all that it started are gone when this returns."""
    with tempfile.TemporaryFile() as errors:
        child = new_session(line, cwd=install.ROOT, env=environ, out=subprocess.PIPE, err=errors)
        try:
            said, _ = child.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"it was not done in {PATIENCE:g} s") from None
        finally:
            ended(child)
        if child.returncode != 0:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise Failed("\n".join(lines[-8:]) or f"exit code {child.returncode}")
        return said.decode()


@contextmanager
def marks() -> Iterator[str]:
    """A file for the jobs' marks, in memory where there is such a place: not on the disk."""
    memory = Path("/dev/shm")
    with tempfile.NamedTemporaryFile(
        prefix="oq-peers-", dir=memory if memory.is_dir() else None
    ) as file:
        Marks.create(file.name)
        yield file.name


def home() -> Path:
    """Where everybody's files are: on a disk, because a sync of memory costs nothing."""
    chosen = os.environ.get("TMPDIR")
    return Path(chosen) if chosen else Path("/var/tmp")


def filesystem(path: Path) -> str:
    """The kind of filesystem that the path is on, as the system names it (proc(5), mounts)."""
    mounts = Path("/proc/mounts")
    kinds = {}
    for line in mounts.read_text().splitlines() if mounts.exists() else ():
        _, point, kind, *_ = line.split()
        kinds[point] = kind
    around = [str(path.resolve()), *map(str, path.resolve().parents)]
    return next((kinds[point] for point in around if point in kinds), "unknown")
