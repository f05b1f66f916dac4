"""What a forked child does with the databases that its parent has open, or had: nothing at all.

RocksDB has threads and locks, of which a fork copies the memory alone. To wait for those threads
crashes the child or never returns, and two things do it at the end of a process: Python, which
frees its objects, and with them closes the database, and then RocksDB's own destructors. Nor can
such a child open another database, which would wait for those threads too.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from oq.words.errors import StoreError

ADVICE = "open queues only after the fork, or use oq.Client to share one between processes"


class Forkable(Protocol):
    def leave_to_parent(self) -> None: ...


class _Gone:
    """Stands in for what a child must not touch."""

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreError(f"this store was opened before the process forked; {ADVICE}")

    __getitem__ = __getattr__


GONE: Any = _Gone()

# Looked up here: the loader's lock may be held by another thread when the process forks.
_library = ctypes.CDLL(None)
_on_exit, _exit = getattr(_library, "on_exit", None), _library._exit

_open: WeakSet[Forkable] = WeakSet()
_ever_opened = False
_too_late = False  # whether that was in a process from which this one was forked


def watch(database: Forkable) -> None:
    """Have it leave the database to the parent in each child that is forked from here on."""
    _open.add(database)


def unwatch(database: Forkable) -> None:
    """It is closed."""
    _open.discard(database)


def about_to_open() -> None:
    """Return if a database can be opened. StoreError if a parent of this process has done so."""
    global _ever_opened
    _ever_opened = True
    if _too_late:
        raise StoreError(
            "this process was forked from a process that had opened a queue, so it cannot open one;"
            f" {ADVICE}"
        )


def never_free(*objects: object) -> None:
    """Keep the objects for as long as the process lives, its very end included."""
    for one in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def _in_child() -> None:
    global _too_late
    if _ever_opened:
        _too_late = True
        _end_without_destructors()
    for database in tuple(_open):
        database.leave_to_parent()
    _open.clear()


def _end_without_destructors() -> None:
    """Have the process end when all that Python does at its end is done, before what was registered
    in the parent comes. The exit code stays. Only the GNU library can do that.
    """
    if _on_exit is not None:
        _on_exit(_exit, None)


os.register_at_fork(after_in_child=_in_child)
