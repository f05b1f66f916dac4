"""The server's events, as they come (server-sent events of GET /api/events)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec

from oq.words.events import Event, EventType

_WANTED = ",".join(kind for kind in EventType if kind is not EventType.PRIORITY_UPDATED)
_QUIET = 120.0
"""Seconds without a word, keepalives included, after which the server counts as gone."""


@contextmanager
def open_feed(url: str) -> Iterator[Iterator[Event]]:
    """Subscribe to the events from now on, progress included."""
    with (
        httpx.Client(base_url=url, trust_env=False, timeout=_QUIET) as http,
        http.stream("GET", "/api/events", params={"types": _WANTED}) as response,
    ):
        response.raise_for_status()
        lines = (line[5:] for line in response.iter_lines() if line.startswith("data:"))
        next(lines)  # the greeting: from here on nothing is missed
        yield _events(lines)


def _events(lines: Iterator[str]) -> Iterator[Event]:
    for line in lines:
        # Whatever else the stream says (that we lagged) is not an event of a task.
        try:
            yield msgspec.json.decode(line, type=Event)
        except msgspec.ValidationError:
            continue
