"""Whether oq's tasks are on disk before they are acknowledged, read back while it runs.

Its store notes, after each sync, up to which commit it has got with that; and the kernel counts the
flushes of a disk, whoever caused them.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench.scenario import NotMeasured
from oq.store.directory import read_mark

TRIED = 50
"""Tasks that are submitted for this, one after the other."""
_FLUSHES = 15
"""The field of a disk's stat(5) in sysfs that counts them."""


async def durability(data: Path, submit: Callable[[], Awaitable[object]]) -> str:
    """In words, by submitting tasks to the queue with that data directory. It is to be paused, so
    that nothing but they is committed. NotMeasured when one is acknowledged too early: oq would be
    compared as what it is not.
    """
    after_sync, flushed = 0, flushes(data)
    for _ in range(TRIED):
        mark = read_mark(data)
        await submit()
        after_sync += read_mark(data) > mark
    told = f"{after_sync} of {TRIED} acknowledgements after a sync"
    if after_sync < TRIED:
        raise NotMeasured(f"only {told}")
    now = flushes(data)
    return told if flushed is None or now is None else f"{told}, {now - flushed} disk flushes"


def flushes(path: Path) -> int | None:
    """How often the disk below it was flushed since the machine was started; None where that is not
    counted, as it is not for all that is no plain disk.
    """
    device = path.stat().st_dev
    disk = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    if (disk / "partition").exists():
        disk = disk.parent
    try:
        fields = (disk / "stat").read_text().split()
    except OSError:
        return None
    return int(fields[_FLUSHES]) or None if len(fields) > _FLUSHES else None
