"""Turns RocksDB's errors into oq's, with texts that say what to do."""

from __future__ import annotations

import os
import re
from datetime import datetime
from errno import EDQUOT, EIO
from pathlib import Path

from oq.words.errors import StoreCorrupt, StoreError, StoreFull

_SIGNS_OF_DAMAGE = ("Corruption", "No such file or directory", "olumn famil")
"""What RocksDB says when a file of its own is not what it should be, or not there."""
_BAD_SECTOR = re.compile(f"While p?read.*{os.strerror(EIO)}")
"""What the disk cannot read is as lost as what it reads wrongly, and the trouble of that record."""


def damaged(path: Path, how: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"the data in {path} is damaged ({how}); oq does not open it, because that could"
        f" destroy more: copy it, then run `oq salvage {path}`"
    )


def unfinished(path: Path) -> StoreCorrupt:
    return StoreCorrupt(
        f"an `oq salvage` of {path} was interrupted; run `oq salvage {path}` again to finish it"
    )


def behind_mark(found: int, acknowledged: int) -> StoreCorrupt:
    """The store opens, but ends before what is known to have been acknowledged."""
    return StoreCorrupt(
        f"the store ends at commit {found}, but commit {acknowledged} was"
        " acknowledged: its write-ahead log is lost or cut. Restore the missing files. If that"
        " is impossible, copy the data directory, then run `oq salvage` on it"
    )


def index_disagrees(found: int, counted: int) -> StoreCorrupt:
    return StoreCorrupt(
        f"the store lists {found} pending tasks, but {counted} were counted: a file of it is lost."
        " Restore it. If that is impossible, copy the data directory, then run `oq salvage` on it"
    )


def newer_format(format: int, reads: int, needed: str) -> StoreError:
    """The store was written by an oq that comes after this one."""
    which = f"oq {needed}" if needed else "the version of oq that wrote it"
    return StoreError(
        f"the data directory has format {format}, and this oq reads formats up to {reads}: use"
        f" {which} or a later one, or choose another directory with --data-dir or"
        " queue.storage_path. Nothing in it was changed"
    )


def other_world(*, simulated: bool) -> StoreError:
    """The store's tasks are for real models and the backends are simulated, or the reverse."""
    holds, backends, why = (
        ("tasks for real models", "simulated", "their answers would be made up")
        if simulated
        else ("tasks of a simulation", "real", "their answers so far are made up")
    )
    return StoreError(
        f"the data directory holds {holds}, and a backend here is {backends}: {why};"
        " choose another directory with --data-dir or queue.storage_path"
    )


def removed_by_retention(task_id: str, at: datetime) -> str:
    return (
        f"task {task_id} had ended, and was removed by retention at {at:%Y-%m-%dT%H:%M:%SZ};"
        " queue.keep_completed and queue.max_completed_tasks say what is kept"
    )


def sync_failed(error: Exception, path: Path) -> StoreError:
    """A sync failed, for whatever reason: no later one can make up for it."""
    text = " ".join(str(error).split())
    return StoreError(
        f"the disk of {path} did not keep what was written ({text}); what was acknowledged before"
        " is safe. Look at the disk, then start oq again"
    )


def translate(error: Exception, path: Path) -> StoreError:
    """RocksDB's error, or the system's, as one of oq's."""
    if isinstance(error, StoreError):
        return error
    text = " ".join(str(error).split())  # of several lines, sometimes
    if "No space left" in text or "NoSpace" in text:
        return StoreFull(
            f"no space left on the disk of {path}; free 64 MB or more; nothing was lost"
        )
    if os.strerror(EDQUOT) in text:  # RocksDB goes on by itself when there is space, not after this
        return StoreError(
            f"the disk quota for {path} is used up, so oq ends; what was acknowledged is safe. Free"
            " space, or have the quota raised, then start oq again"
        )
    if any(sign in text for sign in _SIGNS_OF_DAMAGE) or _BAD_SECTOR.search(text):
        return damaged(path, text)
    return StoreError(f"the store in {path} failed: {text}")
