"""The keyboard, one key at a time, and a terminal that is left as it was found."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import trio

_LOCAL, _CHARACTERS = 3, 6  # the places in what tcgetattr(3) gives


@contextmanager
def single_keys() -> Iterator[int | None]:
    """The keyboard, whose keys come at once and are not shown; None where there is none."""
    if not sys.stdin.isatty():
        yield None
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    now = termios.tcgetattr(keyboard)
    now[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
    # Ctrl-Z would leave a shell with neither its screen nor its echo.
    now[_CHARACTERS][termios.VSUSP] = b"\0"
    termios.tcsetattr(keyboard, termios.TCSADRAIN, now)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


async def until_quit(keyboard: int) -> None:
    """Return when q is pressed, or the keyboard is gone."""
    while True:
        await trio.lowlevel.wait_readable(keyboard)
        pressed = os.read(keyboard, 64)
        if not pressed or b"q" in pressed.lower():
            return
