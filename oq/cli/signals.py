"""Signals that a command gets, from its first moment on.

The kernel does not deliver a signal to the first process of a container unless that has a handler
for it, so a command has one also where the default action would do.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

_STOPS = (signal.SIGTERM, signal.SIGHUP)
_UNUSED = (signal.SIGUSR1, signal.SIGUSR2)

_MOMENT = 0.05
"""Seconds until an interrupt that Python has ignored is raised again."""

_received = signal.SIGINT


def take_signals() -> None:
    """Have SIGTERM, and SIGHUP when the terminal is gone, end the command as Ctrl-C does, and the
    signals that mean nothing to oq do nothing. One that is ignored, as under nohup, stays ignored.
    """
    for number in _STOPS:
        _take(number, _stop)
    for number in _UNUSED:
        _take(number, _nothing)
    signal.signal(signal.SIGALRM, _interrupt_again)
    sys.unraisablehook = _unraisable


def interrupted() -> int:
    """The exit code of a command that a signal has ended: 128 and its number."""
    return 128 + _received


@contextmanager
def threads_without_signals() -> Iterator[None]:
    """Threads that are started in the block get no signals. When several come at once, the kernel
    may give one to another thread, and then a main thread that waits in a system call sleeps on.
    """
    ours = {signal.SIGINT, signal.SIGALRM, *_STOPS, *_UNUSED}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ours)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave(code: int) -> NoReturn:
    """End the process with this exit code, also when a signal has ended the command.

    `sys.exit` does not do it then: when KeyboardInterrupt has gone through `exec` of a text, as it
    may while a dataclass is made, Python ends by SIGINT (see run_eval_code_obj in its pythonrun.c).
    """
    if code != interrupted():
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or never there
            stream.flush()
    os._exit(code)


def _take(number: signal.Signals, handler: signal._HANDLER) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    global _received
    _received = signal.Signals(number)
    _interrupt(number, frame)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # In the way of whoever handles Ctrl-C: trio, for one, lets nothing be raised inside itself.
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # ignored: a shell starts the background of a script so
        handler = signal.default_int_handler
    handler(number, frame)


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Python ignores what a callback of a weak reference or `__del__` raises. An interrupt that is
    lost so is raised again a moment later.
    """
    if lost.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)
    else:
        sys.__unraisablehook__(lost)


def _interrupt_again(number: int, frame: FrameType | None) -> None:
    _interrupt(signal.SIGINT, frame)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
