"""What is asked for, as the path and the parameters of a URL; InvalidTask for what none can hold.
Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

import httpx

from oq.words.arguments import task_id_of
from oq.words.errors import InvalidTask
from oq.words.which import values_of

_SHOWN = 64
"""Characters of a text that are shown."""

Parameters = tuple[tuple[str, str], ...]


def parameters(given: Mapping[str, object]) -> Parameters:
    """Each value, or several, by its name. None is left out."""
    return tuple(
        (name, _encodable(name, str(one)))
        for name, value in given.items()
        if value is not None
        for one in values_of(value)
    )


def path_of(task_id: str, verb: str) -> str:
    """The path of a task, or of what is done to it."""
    # Quoted whole: an id is a user's text, and "../status" must not become another call.
    path = f"api/tasks/{quote(_encodable('task_id', task_id_of(task_id)), safe='')}"
    if not task_id or set(task_id) <= {"."}:
        raise InvalidTask("task_id", f"{task_id[:_SHOWN]!r} is not a task's id")
    return f"{path}/{verb}" if verb else path


@contextmanager
def making_url() -> Iterator[None]:
    """Makes a URL in this block: httpx takes none that is very long."""
    try:
        yield
    except httpx.InvalidURL:
        raise InvalidTask(
            "", "what is asked for is too long for a URL; write shorter values, or fewer"
        ) from None


def _encodable(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = repr(text[:_SHOWN])
        raise InvalidTask(name, f"{shown} has half of a surrogate pair; take it out") from None
    return text
