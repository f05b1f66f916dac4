"""The two ways in which a request fails before or while it is answered:

Unreachable    nobody is there
Lost           somebody was, but the answer did not come, broke off, or was no HTTP/1.1
"""

from __future__ import annotations

import trio


class Unreachable(Exception):
    """There is no connection to the server: its name, the network, a refusal, TLS, or time."""


class Lost(Exception):
    """The connection ended too early, or what came on it is no answer."""

    unsent = False
    """Whether the head of the request could not be written, so that the server has not taken it."""
    stale = False
    """Whether a connection was used again, and the server did not answer on it."""


def words(error: BaseException) -> str:
    """What an error of trio, of a socket or of TLS says; some say nothing but their name."""
    if isinstance(error, trio.BrokenResourceError):  # its cause says more
        error = error.__cause__ or error
    return str(error) or type(error).__name__
