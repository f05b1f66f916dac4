"""How the files that a process may have open are shared, so that the store never lacks one.

A connection that is not accepted waits; a store that cannot open a file ends the process. So the
store has its part, tasks have theirs, and connections get what is left.
"""

from __future__ import annotations

PLENTY = 16_384
"""Files with which the store may keep all of its tables open."""
LEAST = 192
"""Files with which a server can run at all."""

_ITSELF = 32
"""Of the process: its streams, logs, listening sockets, signals, the event loop."""
_STORE = 32
"""Of the store beside its tables: logs, manifest, locks, and what a compaction writes."""
_KEPT = 32
"""Connections to backends that are kept, and looks at whether they answer."""
_FEWEST_TASKS = 4
_FEWEST_TABLES = 20
"""RocksDB goes no lower."""


def tables(limit: int) -> int:
    """Tables that the store may keep open when `limit` files may be; -1: all."""
    return -1 if limit >= PLENTY else max(_FEWEST_TABLES, limit // 4)


def workers(limit: int, most: int) -> int:
    """Tasks that may run at once when nobody says how many: `most` if there is room."""
    return min(most, max(_FEWEST_TASKS, limit // 256))


def connections(limit: int, workers: int) -> int:
    """Connections of clients that `limit` files leave room for; less than 1 if there is none.

    `workers` tasks run at once, each over a connection to a backend. Whoever connects may have a
    request passed on, which takes another one; and half as many as connect may be refused.
    """
    store = max(tables(limit), limit // 4) + _STORE
    left = limit - _ITSELF - store - _KEPT - workers
    return left * 2 // 5
