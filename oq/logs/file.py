"""The log file: a regular file, of this user or new."""

from __future__ import annotations

import errno
import os
import stat

from oq.words.errors import InvalidConfig

MODE = 0o600
"""Of a file that is new: what is logged is for whoever runs oq. One that is there keeps its own."""

# Not blocking, so that a pipe without a reader is told of at once and not waited for.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REASONS = {
    errno.ELOOP: "is a symbolic link",
    errno.EISDIR: "is a directory",
    errno.ENXIO: "is no regular file",
    errno.EOPNOTSUPP: "is no regular file",
}


def open_log(path: str) -> int:
    """A descriptor that appends to the file at `path`, which is made if there is none.

    InvalidConfig if it cannot be opened, is another user's, or anything but a regular file: a
    settings file that somebody else wrote must not have oq write wherever it likes.
    """
    try:
        descriptor = os.open(path, _FLAGS, MODE)
    except (OSError, ValueError) as error:  # a ValueError for a path with a NUL in it
        raise _refusal(path, _why(error)) from None
    if reason := _unfit(os.fstat(descriptor)):
        os.close(descriptor)
        raise _refusal(path, reason)
    return descriptor


def _unfit(found: os.stat_result) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    if found.st_uid != os.geteuid():
        return f"belongs to another user (id {found.st_uid})"
    return None


def _why(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return f"cannot be opened ({error})"
    return _REASONS.get(error.errno or 0) or f"cannot be opened ({error.strerror})"


def _refusal(path: str, reason: str) -> InvalidConfig:
    return InvalidConfig(
        f"logging.file: {path!r} {reason}; name a regular file of your own, or one that is not"
        " there yet, or leave it out to log to the standard error"
    )
