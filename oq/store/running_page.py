"""Records which tasks are running, in a page of memory that outlives the process.

The start of an attempt reaches the disk while the backend works already, because a free slot does
not wait for the disk. A task that crashes the process at once would do so before its start is on
disk, and again after each restart. This page counts such starts: the kernel keeps a mapped file,
however the process ends.

The page is not synced. When the whole machine has stopped, no task is the cause; the kernel's boot
id in the page shows that.

Each record has a checksum. One that is damaged, or that was half written when the process ended, is
passed over: no task is blamed by mistake, and nothing in the page keeps oq from starting.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import structlog

log = structlog.get_logger("oq.store")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HEAD = 64
"""Bytes before the first record: the boot id, and the layout."""
_LAYOUT = b" 2"
"""Without it a page has records without checksums. Each version of oq ignores the other's page."""
_RECORD = struct.Struct(">36sq")
"""A task's id, and its attempt (see `oq.rules.stream_log.attempt_id`)."""
_CHECK = struct.Struct(">I")
_SIZE = _RECORD.size + _CHECK.size
_EMPTY = bytes(_SIZE)
"""No record: the checksum of zeroes is not zero."""


class RunningPage:
    """The page of one store, in `file`. Without a file it ends with the process."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._page: bytearray | mmap.mmap = bytearray()
        self._at: dict[str, slice] = {}
        self._free: list[slice] = []
        self.left: tuple[tuple[str, int], ...] = tuple(_read(file))
        """The tasks, with their attempts, that backends had when the process before this ended."""

    def begin(self, slots: int) -> None:
        """Forget what was `left`, and have room for so many tasks."""
        self.close()
        self.left = ()
        size = _HEAD + slots * _SIZE
        self._page = bytearray(size) if self._file is None else _map(self._file, size)
        self._page[:_HEAD] = _head()
        self._free = [slice(at, at + _SIZE) for at in range(_HEAD, size, _SIZE)]

    def add(self, task_id: str, attempt: int) -> None:
        """A backend is about to get it."""
        if self._free:
            at = self._at[task_id] = self._free.pop()
            record = _RECORD.pack(task_id.encode(), attempt)
            self._page[at] = record + _CHECK.pack(crc32(record))

    def discard(self, task_id: str) -> None:
        """No backend has it any more."""
        at = self._at.pop(task_id, None)
        if at is not None:
            self._page[at] = _EMPTY
            self._free.append(at)

    def clear(self) -> None:
        """Whatever there is of it, nothing is in hand."""
        for task_id in tuple(self._at):
            self.discard(task_id)

    def leave_to_parent(self) -> None:
        """In a forked child: have a page of its own, for the file's is the parent's."""
        self._page = bytearray(len(self._page))

    def close(self) -> None:
        """Let go of the page; what it says stays."""
        page, self._page = self._page, bytearray()
        self._at.clear()
        self._free.clear()
        if isinstance(page, mmap.mmap):
            page.close()


def _read(file: Path | None) -> Iterator[tuple[str, int]]:
    """What an earlier process since the machine's start has left there."""
    try:
        page = b"" if file is None else file.read_bytes()
    except OSError:
        return
    if page[:_HEAD] != _head():
        return
    for at in range(_HEAD, len(page) - _SIZE + 1, _SIZE):
        record, check = page[at : at + _RECORD.size], page[at + _RECORD.size : at + _SIZE]
        if check == _CHECK.pack(crc32(record)):
            key, attempt = _RECORD.unpack(record)
            yield key.decode(), attempt


def _map(file: Path, size: int) -> bytearray | mmap.mmap:
    """An empty page on that file. Where there can be none, one that is forgotten: then a task that
    ends the process at once is not counted, and all else works.
    """
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(handle, 0)
            # On a full disk a page that is not allocated would end the process when it is touched.
            os.posix_fallocate(handle, 0, size)
            return mmap.mmap(handle, size)
        finally:
            os.close(handle)
    except OSError as error:
        log.warning("tasks that end oq at once are not counted", file=str(file), reason=str(error))
        return bytearray(size)


def _head() -> bytes:
    return (_boot_id() + _LAYOUT).ljust(_HEAD, b"\0")


def _boot_id() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""
