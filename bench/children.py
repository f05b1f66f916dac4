"""Processes that do not outlive this one, nor do those that they start."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from oq.cli.lifeline import with_parent

PATIENCE = 10.0
"""Seconds between asking a process to end and making it."""


def new_session(
    command: list[str],
    *,
    out: int | IO[bytes],
    err: IO[bytes] | None = None,
    stdin: int = subprocess.DEVNULL,
    cwd: Path | None = None,
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
        stdin=stdin,
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
