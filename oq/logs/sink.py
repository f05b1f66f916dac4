"""Where lines go, and what becomes of those that cannot be written.

A full disk, a closed standard error, a pipe whose reader has left or does not read: none of them is
a reason for a queue to stop. Such a line is dropped and counted. The first line that can be written
again is followed by one that says how many were lost.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys

import structlog

from oq.logs.file import open_log
from oq.words.errors import InvalidConfig

PATIENCE = 0.1
"""Seconds that a line waits for a reader that is slow. While one does not read, no line waits."""


class Sink:
    """It stands between the loggers, which are cached once they have been used, and the stream,
    which is another in each `configured` block.
    """

    def __init__(self) -> None:
        self.lost = 0
        """Lines since the process began."""
        self.path: str | None = None
        self._file: int | None = None
        self._unsaid = 0  # lost lines that no line has told of yet
        self._reason = ""
        self._torn = False  # the last line was written in part
        self._stuck = False  # the reader did not take the last line

    def open(self, path: str | None) -> None:
        """Write to the file at `path`, or to the standard error. InvalidConfig: see `open_log`."""
        file = None if path is None else open_log(path)
        self._change(path, file)

    def close(self) -> None:
        """Write to the standard error again; what was lost before is of no concern to it."""
        self._change(None, None)
        self._unsaid = 0

    def _change(self, path: str | None, file: int | None) -> None:
        before, self.path, self._file = self._file, path, file
        self._torn = self._stuck = False
        if before is not None:
            os.close(before)

    def msg(self, line: str) -> None:
        """Write the line, or count it as lost; it never raises."""
        try:
            self._write(line)
        except Exception as error:  # the standard error may be an object of anybody's
            self.lose(error)
        else:
            if self._unsaid:
                self._say_what_is_lost()

    debug = info = warning = error = critical = msg

    def lose(self, error: Exception) -> None:
        """Count a line that cannot be made or written."""
        self.lost += 1
        self._unsaid += 1
        self._reason = getattr(error, "strerror", None) or str(error) or type(error).__name__

    def _say_what_is_lost(self) -> None:
        lines, self._unsaid, before = self._unsaid, 0, self.lost
        structlog.get_logger().warning("log lines were lost", lines=lines, reason=self._reason)
        if self.lost > before:
            self._unsaid += lines

    def _write(self, line: str) -> None:
        stream = sys.stderr
        descriptor = _descriptor(stream) if self._file is None else self._file
        if descriptor is not None:
            self._write_all(descriptor, line)
        elif stream is None:
            raise OSError(errno.EBADF, "there is no standard error")
        else:
            stream.write(line + "\n")
            stream.flush()

    def _write_all(self, descriptor: int, line: str) -> None:
        """Past Python's buffers: they would keep what cannot be written, and fail once more when
        the process ends.
        """
        text = f"{line}\n".encode(errors="backslashreplace")
        if self._torn:
            text = b"\n" + text
        # One write a line, so that lines of several processes in one file do not mix.
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        piece = len(text) if regular else select.PIPE_BUF
        left = memoryview(text)
        while left:
            if not regular:
                self._await_reader(descriptor)
            written = os.write(descriptor, left[:piece])
            left = left[written:]
            self._torn = bool(left)

    def _await_reader(self, descriptor: int) -> None:
        """Return when PIPE_BUF bytes can be written at once; everything else waits as long."""
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        self._stuck = not poll.poll(0 if self._stuck else PATIENCE * 1000)
        if self._stuck:
            raise TimeoutError(errno.ETIMEDOUT, "nobody reads the log")


SINK = Sink()


def lost_lines() -> int:
    """Lines of the log that could not be written since the process began."""
    return SINK.lost


def reopen() -> None:
    """Open the log file anew, under its name: whoever rotates logs has given the old one another.

    When that fails the old one is written on, and told so.
    """
    log = structlog.get_logger()
    if SINK.path is None:
        log.info("there is no log file to reopen; see logging.file")
        return
    try:
        SINK.open(SINK.path)
    except InvalidConfig as error:
        log.error("the log goes on in the old file", reason=str(error))  # noqa: TRY400
    else:
        log.info("log file reopened")


def _descriptor(stream: object) -> int | None:
    """Where the stream writes to, if it is Python's own over a file. Others (a notebook's, a
    test's) may do more with what is written to them.
    """
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.fileno() if isinstance(raw, io.FileIO) else None
