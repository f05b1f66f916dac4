"""How long something takes when nothing else runs on the machine, measured while other things do.

The kernel counts for each thread how long it could have run and had to wait for a processor
(`/proc/PID/task/TID/schedstat`, Documentation/scheduler/sched-stats.rst). That is the doing of
others, and is taken off the wall time; what this program sleeps, or waits for its own threads,
stays. Where the kernel does not count it, nothing is taken off.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import NamedTuple


class FastRequest(NamedTuple):
    """Seconds: of the clock, without waits for a processor; and of processors, of all threads."""

    wall: float
    cpu: float


class Stopwatch:
    """Started when it is made, by the thread that does the work; `taken` stops it."""

    def __init__(self) -> None:
        self._files = _counts()
        # The clock is read first here and last below: a wait between two readings then adds to
        # what was taken, and is never taken off without having been in it.
        self._wall = time.perf_counter()
        self._waits = self._waited()
        self._busy = time.thread_time()
        self._cpu = time.process_time()

    def taken(self) -> FastRequest:
        """Since the start."""
        cpu = time.process_time() - self._cpu
        busy = time.thread_time() - self._busy
        now = self._waited()
        wall = time.perf_counter() - self._wall
        for file in self._files.values():
            os.close(file)
        waits = {thread: now[thread] - self._waits.get(thread, 0.0) for thread in now}
        own = waits.pop(threading.get_native_id(), 0.0)
        # Another thread's wait was ours too only as far as we slept meanwhile.
        asleep = max(wall - own - busy, 0.0)
        return FastRequest(wall - own - min(sum(waits.values()), asleep), cpu)

    def _waited(self) -> dict[int, float]:
        """Seconds that each thread has waited for a processor in its life."""
        found = {}
        for thread, file in self._files.items():
            with suppress(OSError, IndexError):  # it has ended
                found[thread] = int(os.pread(file, 100, 0).split()[1]) / 1e9
        return found


def _counts() -> dict[int, int]:
    """What the kernel counts of each of Python's threads, as open files by the native ids."""
    found = {}
    for thread in threading.enumerate():
        if thread.native_id is not None:
            with suppress(OSError):  # it has ended; or nobody counts
                place = f"/proc/self/task/{thread.native_id}/schedstat"
                found[thread.native_id] = os.open(place, os.O_RDONLY)
    return found
