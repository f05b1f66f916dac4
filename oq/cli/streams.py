"""The standard streams of a command, such that none of them stops it from doing its work.

A stream may be closed (`>&-`), on a full disk, or a pipe whose reader has left. What is said on the
standard error is then dropped: it is for people, and nobody depends on it. What is written on the
standard output is the command's result, so it raises an OSError that names the stream.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO

_CLOSED = {0: os.O_WRONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}
"""How the null device is opened in place of a closed descriptor: what uses the standard input or
output meets EBADF, as it would without; what is said on the standard error goes nowhere.
"""


def secure_streams() -> None:
    """Replace the streams of this process. To be called once, before anything else is opened: a
    file would get the number of a closed stream, and with it what is written there.
    """
    for number, mode in _CLOSED.items():
        _hold(number, mode)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - it stays open
    sys.stdout = _text(sys.stdout, _Result(1, "wb", closefd=False))
    sys.stderr = _text(sys.stderr, _Remark(2, "wb", closefd=False), line_buffering=True)


def discard_output() -> None:
    """Drop what could not be written on the standard output: Python would try it again at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


class _Patient(io.FileIO):
    """A file that is waited for when it cannot take more just now: a terminal or a pipe that
    another program has made non-blocking.
    """

    def write(self, data: object, /) -> int:
        while True:
            written = super().write(data)  # type: ignore[arg-type]
            if written is not None:
                return written
            select.select([], [self], [])


class _Result(_Patient):
    def write(self, data: object, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "the standard output") from None


class _Remark(_Patient):
    def write(self, data: object, /) -> int:
        try:
            return super().write(data)
        except OSError:  # there is no other place to say it
            return len(memoryview(data))  # type: ignore[arg-type]


def _hold(number: int, mode: int) -> None:
    """Have something at this descriptor."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, mode)
        if null != number:
            os.dup2(null, number)
            os.close(null)


def _text(before: TextIO | None, raw: io.FileIO, *, line_buffering: bool = False) -> TextIO:
    """As Python would have opened it; a locale that lacks a character shows its number."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering or raw.isatty(),
    )
