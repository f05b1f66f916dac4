"""Children that end when this process does, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial

_PR_SET_PDEATHSIG = 1  # prctl(2)


def with_parent() -> Callable[[], None]:
    """A `preexec_fn` for a child that is to get SIGTERM when this process is gone."""
    return partial(_end_with, os.getpid())


def _end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent is gone, be it by SIGKILL."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # It may have gone before that was asked.
        if os.getppid() != parent:
            os._exit(1)
