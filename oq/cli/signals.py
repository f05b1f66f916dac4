"""Signals that a command gets, from its first moment on.

The kernel does not deliver a signal to the first process of a container unless that has a handler
for it, so a command has one also where the default action would do.
"""

from __future__ import annotations

import signal
from types import FrameType

_STOPS = (signal.SIGTERM, signal.SIGHUP)
_UNUSED = (signal.SIGUSR1, signal.SIGUSR2)

_received = signal.SIGINT


def take_signals() -> None:
    """Have SIGTERM, and SIGHUP when the terminal is gone, end the command as Ctrl-C does, and the
    signals that mean nothing to oq do nothing. One that is ignored, as under nohup, stays ignored.
    """
    for number in _STOPS:
        _take(number, _stop)
    for number in _UNUSED:
        _take(number, _nothing)


def interrupted() -> int:
    """The exit code of a command that a signal has ended: 128 and its number."""
    return 128 + _received


def _take(number: signal.Signals, handler: signal._HANDLER) -> None:
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    global _received
    _received = signal.Signals(number)
    # In the way of whoever handles Ctrl-C: trio, for one, lets nothing be raised inside itself.
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # ignored: a shell starts the background of a script so
        handler = signal.default_int_handler
    handler(number, frame)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass
