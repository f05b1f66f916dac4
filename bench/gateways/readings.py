"""What processes have used, by /proc: processor time and memory.

A server is started in a session of its own (`bench.children`), in which its workers are too. The
session is known by the process id of the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SESSION = 3
"""The field of /proc/PID/stat that has the session, counted after the name (proc(5))."""

Used = dict[int, int]
"""Nanoseconds of processor time by thread."""


def processes(session: int) -> list[int]:
    """The processes of the session."""
    return [pid for pid in _all() if _session(pid) == session]


def _all() -> Iterator[int]:
    for name in os.listdir(PROC):
        if name.isdigit():
            yield int(name)


def _session(pid: int) -> int | None:
    with suppress(OSError):  # it has ended
        # The name is in brackets, and may itself have brackets and spaces.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[_SESSION])
    return None


def used(pids: Sequence[int]) -> Used:
    """The processor time of each of their threads (Documentation/scheduler/sched-stats.rst).
    LookupError if there is none, or the kernel does not count it.
    """
    found: Used = {}
    for pid in pids:
        with suppress(OSError):
            for thread in os.listdir(PROC / str(pid) / "task"):
                with suppress(OSError):
                    counts = (PROC / str(pid) / "task" / thread / "schedstat").read_text()
                    found[int(thread)] = int(counts.split()[0])
    if not found:
        raise LookupError(f"no processor time is counted of processes {list(pids)}")
    return found


def between(before: Used, after: Used) -> float:
    """Seconds of processor time. A thread that ended meanwhile is not counted."""
    return sum(time - before.get(thread, 0) for thread, time in after.items()) / 1e9


def resident(pids: Sequence[int]) -> int:
    """Bytes of memory of all of them; what they share is counted for each."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * _PAGE
