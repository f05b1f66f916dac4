"""How long the clients wait for one answer of the server."""

from __future__ import annotations

import httpx

from oq.words.durations import Time, seconds_of
from oq.words.errors import InvalidTask

LONGEST = 14 * 86400.0
"""Seconds. A longer time is as good as none, and a socket refuses more than 24 days."""


def answer_timeout(given: Time) -> float:
    """The seconds of the `timeout` of a client. InvalidTask if no answer could come within it."""
    seconds = seconds_of("timeout", given)
    if seconds <= 0:
        raise InvalidTask("timeout", f"{given!r} is not more than 0; infinity means no limit")
    return seconds


def steps(timeout: float, wait: float) -> httpx.Timeout:
    """`timeout` for each step of a request; to read the answer may take `wait` longer."""
    return httpx.Timeout(_bounded(timeout), read=_bounded(timeout + wait))


def _bounded(seconds: float) -> float | None:
    return seconds if seconds <= LONGEST else None
