"""Closes queues that are still open when the program ends.

At that time `atexit` is too late: from Python 3.12 on no thread may be started any more, and a
queue that closes syncs its store on one. So a thread waits for the end of the main thread; the
interpreter, which waits for all threads but daemons, gives it the time that it needs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

_lock = threading.Lock()
_closers: set[Callable[[], None]] = set()
_watcher: threading.Thread | None = None


def close_at_exit(close: Callable[[], None]) -> None:
    """Call `close` when the main thread has ended."""
    global _watcher
    with _lock:
        _closers.add(close)
        if _watcher is None:
            _watcher = threading.Thread(target=_watch, name="oq at exit", daemon=False)
            _watcher.start()


def closed(close: Callable[[], None]) -> None:
    """It need not be called any more."""
    with _lock:
        _closers.discard(close)


def _watch() -> None:
    threading.main_thread().join()
    while _closers:
        _closers.pop()()


def _in_child() -> None:
    """What is open is the parent's to close; the lock may be held by a thread that is not here."""
    global _lock, _watcher
    _lock, _watcher = threading.Lock(), None
    _closers.clear()


os.register_at_fork(after_in_child=_in_child)
