"""Processes that do not outlive this one, nor do those that they start."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

PATIENCE = 10.0
"""Seconds between asking a process to end and making it."""
_PR_SET_PDEATHSIG = 1  # prctl(2)


def new_session(
    command: list[str],
    *,
    cwd: Path,
    out: int | IO[bytes],
    err: IO[bytes],
    env: Mapping[str, str] | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start it in a session of its own: a Ctrl-C at the terminal is for this process, which then
    ends it. When this process is killed, the kernel asks it to end.
    """
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        user=user,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
        preexec_fn=with_parent(),
    )


def ended(child: subprocess.Popen[bytes]) -> None:
    """See to it that it is gone, and what it started: the group that it was the first of."""
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(PATIENCE)
    # The group's number is nobody else's while one of it lives, nor for long after: numbers are
    # given out in a circle.
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def with_parent() -> Callable[[], None]:
    """A `preexec_fn` for a child that is to end when this process does."""
    return partial(_end_with, os.getpid())


def _end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent is gone, be it by SIGKILL."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before that
            os._exit(1)
