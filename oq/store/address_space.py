"""Checks that the process may use as much address space as RocksDB needs.

Without it RocksDB ends the process, and its message tells users nothing.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

from oq.words.errors import StoreError

NEEDED = 512 << 20
"""Bytes of address space: measured, 250 MB to open an empty store and 100 MB more under load."""


def check_address_space() -> None:
    """Return if there is enough. StoreError names the limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _taken()
    if limit != resource.RLIM_INFINITY and limit - taken < NEEDED:
        raise StoreError(
            f"the address space of this process is limited to {limit >> 20} MB (`ulimit -v`), of"
            f" which {taken >> 20} MB are taken, and the store needs {NEEDED >> 20} MB: raise that"
            " limit, or bound the memory by a container or systemd's MemoryMax instead"
        )


def _taken() -> int:
    with suppress(OSError):  # only Linux says it
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return pages * resource.getpagesize()
    return 0
