"""Processes that do not outlive this one, nor do those that they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from oq.cli.lifeline import with_parent

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
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
    # Between its fork and its session the child would answer a Ctrl-C with our handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            user=user,
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
            preexec_fn=partial(_begin, with_parent()),
        )
    except BaseException:
        _unblock()
        raise
    try:
        _unblock()
    except BaseException:  # the Ctrl-C that waited
        ended(process)
        raise
    return process


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)


def _begin(with_parent: Callable[[], None]) -> None:
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_DFL)
    _unblock()
    with_parent()


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


class Helper:
    """A program of ours that answers each line with one, which is JSON."""

    def __init__(self, module: str, process: subprocess.Popen[bytes]) -> None:
        self._module = module
        self._process = process

    def ask(self, order: str = "") -> bytes:
        assert self._process.stdin is not None
        self._process.stdin.write(order.encode() + b"\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> bytes:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return line

    def end(self) -> None:
        """Return once it has ended, as its standard input does."""
        self._process.communicate()
        if self._process.returncode:
            raise self._ended()

    def _ended(self) -> RuntimeError:
        return RuntimeError(f"{self._module} ended with {self._process.wait()}")


@contextmanager
def helper(module: str, *arguments: str) -> Iterator[Helper]:
    """`python -m MODULE ARGUMENTS`, which is gone when the block is left."""
    with program([sys.executable, "-m", module, *arguments]) as started:
        yield started


@contextmanager
def program(
    command: list[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[Helper]:
    """A helper by its command: `python -m MODULE` or `python FILE`."""
    name = next(word for word in command[1:] if word != "-m")
    with new_session(
        command, out=subprocess.PIPE, stdin=subprocess.PIPE, cwd=cwd, env=env
    ) as process:
        try:
            started = Helper(name, process)
            yield started
            started.end()
        finally:
            ended(process)


def end_in_order() -> None:
    """Let SIGTERM end this program as Ctrl-C does: by KeyboardInterrupt, in trio's way inside trio.

    A shell starts what a script puts in the background with SIGINT ignored. Python then installs no
    handler for it, and neither would trio; so the handler is asked for here.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def interruptible(main: Callable[[], int]) -> int:
    """Run it. Ctrl-C and SIGTERM end it in order, with exit code 130 and one line."""
    end_in_order()
    try:
        return main()
    except BaseException as error:
        if not _is_interrupt(error):
            raise
    print("\ninterrupted; nothing is saved, and nothing runs on", file=sys.stderr)
    return 130


def _is_interrupt(error: BaseException) -> bool:
    """Whether it is one, or comes of one: trio wraps what leaves a nursery."""
    if isinstance(error, BaseExceptionGroup):
        return any(_is_interrupt(each) for each in error.exceptions)
    return isinstance(error, KeyboardInterrupt)
