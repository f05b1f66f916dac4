"""What was given, and where: the values of every layer, and errors that name their place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from oq.settings.shapes import choices
from oq.words.errors import InvalidConfig

FLAG = "command line"
"""Where the values of flags come from."""
_KEY = re.compile(r"[a-z_]+(?:\[\d+\])?(?:\.[a-z_]+)+")
_LAST_PART = re.compile(r"(\[\d+\]|\.[a-z_]+)$")


def is_secret(key: str) -> bool:
    """Whether the value at `key` must not be shown to anybody."""
    return key.endswith("api_key")


@dataclass(slots=True)
class Layers:
    """The values given so far; a later layer overwrites an earlier one's key by key."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """The file and line, variable or flag that each given key comes from."""
    remarks: list[str] = field(default_factory=list)
    """What is read, and should be written otherwise."""
    _given: dict[str, object] = field(default_factory=dict)

    def put(self, key: str, value: object, origin: str) -> None:
        """Set the key of a section."""
        section, _, name = key.partition(".")
        self.values.setdefault(section, {})[name] = value
        self.note(key, value, origin)

    def note(self, key: str, value: object, origin: str) -> None:
        """Remember where a value came from."""
        self.origins[key] = origin
        self._given[key] = value

    def located(self, error: InvalidConfig) -> InvalidConfig:
        """The same error, behind the place that its value came from."""
        key, _, what = str(error).partition(": ")
        place = next(filter(None, map(self._place, [key, *_KEY.findall(str(error))])), None)
        message = because(key, self._given[key], what) if key in self._given else str(error)
        if what.startswith("Object missing required field"):
            message = f"{key}: there is no {what.split('`')[1]}"
        return InvalidConfig(f"{place}: {message}" if place else message)

    def _place(self, key: str) -> str | None:
        """Where `key` was given, or else what it is part of."""
        return next((self.origins[name] for name in _upwards(key) if name in self.origins), None)


def because(key: str, value: object, reason: str) -> str:
    """msgspec's reason with the key and, where the reason does not show it, the value."""
    if not reason.startswith(("Expected", "Invalid")):
        return f"{key}: {reason}"
    told = "***" if is_secret(key) else repr(value)[:80]
    if words := choices(key):
        return f"{key}: {told} is none of {', '.join(words)}"
    plain = reason[0].lower() + reason[1:].replace("`", "").split(", got")[0]
    return f"{key}: {plain}, not {told}"


def _upwards(key: str) -> Iterator[str]:
    while key:
        yield key
        shorter = _LAST_PART.sub("", key)
        key = shorter if shorter != key else ""
